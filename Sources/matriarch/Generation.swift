import ClusterAccess
import ClusterModel
import Configuration
import Glibc
import Posix
import PostgreSQL

/// `--generate-sample-config` and `--generate-config`.
enum Generation {
    static func sample(_ path: String?) async -> Int32 {
        await write(path) { host, address, environment in
            ConfigurationDraft(host: host, address: address, environment: environment)
        }
    }

    static func running(_ path: String?, connection: String?) async -> Int32 {
        await write(path) { host, address, environment in
            let found = try server(connection)
            return ConfigurationDraft(
                host: host, address: address,
                server: ConfigurationDraft.Server(
                    version: found.version,
                    settings: found.settings.map { ParameterSetting(name: $0.name, value: $0.value) },
                    hostBasedAuthentication: found.hostBasedAuthentication, identityMap: found.identityMap,
                    binDirectory: found.binDirectory ?? "", port: found.port, user: found.user,
                    password: found.password),
                environment: environment)
        }
    }

    /// A password that nobody has given is asked for, where there is somebody to ask.
    private static func server(_ connection: String?) throws -> RunningServer {
        let agreed = ControlledParameters.names
        do {
            return try RunningServer(connection: connection, agreed: agreed, deadline: BootClock.now() + .seconds(30))
        } catch {
            guard "\(error)".contains("no password supplied"), isatty(0) == 1, let answer = getpass("Password: ") else {
                throw error
            }
            setenv("PGPASSWORD", answer, 1)
            return try RunningServer(connection: connection, agreed: agreed, deadline: BootClock.now() + .seconds(30))
        }
    }

    private static func write(
        _ path: String?, _ draft: @escaping @Sendable (String, String, [String: String]) throws -> ConfigurationDraft
    ) async -> Int32 {
        do {
            let text = try await offPool {
                let host = hostName
                let address = HostLookup.addresses(of: host).first { !$0.utf8.contains(UInt8(ascii: ":")) }
                return try draft(host, address ?? "127.0.0.1", ProcessEnvironment.variables).text
            }
            guard let path else {
                Terminal.output(String(text.withoutBlanks))
                return 0
            }
            // It may hold passwords.
            try await offPool {
                let directory = Files.parent(path)
                try Files.makeDirectory(directory)
                try Files.replace(path, with: text.utf8, mode: 0o600)
            }
            return 0
        } catch {
            Terminal.error("\(error)")
            return 1
        }
    }

    private static var hostName: String {
        var text = [CChar](repeating: 0, count: 256)
        guard gethostname(&text, text.count - 1) == 0 else { return "localhost" }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

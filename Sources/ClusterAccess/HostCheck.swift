import ClusterModel
public import Configuration
import Glibc
import Posix

/// What `--validate-config` looks at beyond the text: whether this host is as the configuration takes it to be
/// (configuration.md §7). Blocking: it reads directories and tries to connect.
public enum HostCheck {
    /// Every problem that was found, and what may be meant as it is. `ignoringListenPorts`: addresses to listen at may
    /// be taken already.
    public static func findings(
        _ effective: EffectiveConfiguration, ignoringListenPorts: Bool
    ) -> (problems: [ConfigurationProblem], warnings: [String]) {
        var problems = programs(effective) + dataDirectory(effective)
        if !ignoringListenPorts { problems += ports(effective) }
        problems += store(effective) + logDirectory(effective) + passwordFile(effective) + files(effective)
        return (problems, loopback(effective))
    }

    /// What of it a daemon that starts tells, without a look at others: it goes on all the same, because a PostgreSQL
    /// that runs needs it, whatever has become of a file.
    public static func findings(atStartOf effective: EffectiveConfiguration) -> [ConfigurationProblem] {
        programs(effective) + passwordFile(effective) + files(effective)
    }

    // MARK: PostgreSQL

    private static let needed = ["pg_ctl", "initdb", "pg_controldata", "pg_basebackup", "postgres", "pg_isready"]

    private static func programs(_ effective: EffectiveConfiguration) -> [ConfigurationProblem] {
        let settings = effective.postgreSQL
        let directory = settings.binDirectory
        if !directory.isEmpty, Files.kind(followingLinks: directory) != .directory {
            let what = Files.exists(directory) ? "is not a directory" : "does not exist"
            return [effective.problem("postgresql.bin_dir", "\(Secrets.shown(directory)) \(what)")]
        }
        return needed.compactMap { program in
            let name = settings.binaryNames.first { $0.name == program }?.value ?? program
            let places = directory.isEmpty ? searched : [directory]
            if places.contains(where: { access("\($0)/\(name)", X_OK) == 0 }) { return nil }
            let place = directory.isEmpty ? "$PATH" : Secrets.shown(directory)
            let message = "\(place) does not contain '\(Secrets.shown(name))', or it cannot be run"
            return effective.problem("postgresql.bin_dir", message)
        }
    }

    private static var searched: [String] {
        (ProcessEnvironment.variables["PATH"] ?? "/usr/bin:/bin").split(atByte: ":").map { String($0) }
    }

    private static func dataDirectory(_ effective: EffectiveConfiguration) -> [ConfigurationProblem] {
        let directory = effective.postgreSQL.dataDirectory
        func problem(_ message: String) -> [ConfigurationProblem] {
            [effective.problem("postgresql.data_dir", "\(Secrets.shown(directory)) \(message)")]
        }
        guard Files.exists(directory) else { return [] }
        guard Files.kind(followingLinks: directory) == .directory else { return problem("is not a directory") }
        guard let names = try? Files.list(directory) else { return problem("cannot be read by this user") }
        // A mount point that was prepared, and nothing else.
        if names.allSatisfy({ $0 == "lost+found" || $0.hasPrefix(".") }) { return [] }
        guard names.contains("PG_VERSION") else {
            return problem("is not empty and doesn't look like a valid data directory: it has no PG_VERSION")
        }
        if !names.contains("pg_wal"), !names.contains("pg_xlog") {
            return problem("is not empty, but doesn't contain \"pg_wal\" directory")
        }
        return []
    }

    // MARK: Addresses

    private static func ports(_ effective: EffectiveConfiguration) -> [ConfigurationProblem] {
        let rest = [(effective.restAPI.listenHost, effective.restAPI.listenPort, "restapi.listen")]
        let listen = effective.postgreSQL.listen
        let all = rest + listen.hosts.map { ($0, listen.port, "postgresql.listen") }
        return all.compactMap { host, port, path in
            guard answers(Wildcard.isMeant(by: host) ? "127.0.0.1" : host, port) else { return nil }
            return effective.problem(path, "Port \(port) is already in use.")
        }
    }

    private static func store(_ effective: EffectiveConfiguration) -> [ConfigurationProblem] {
        let (section, addresses) = effective.store.endpoints
        // One that answers is enough for a daemon; an operator wants to know of each.
        return addresses.filter { !answers($0.host, $0.port) }.map { address in
            let key = ["url", "proxy", "hosts", "host"].first { effective.origin(of: "\(section).\($0)") != nil }
            return effective.problem("\(section).\(key ?? "hosts")", "\(Secrets.shown("\(address)")) is not reachable")
        }
    }

    /// Whether somebody takes a connection there, within two seconds for each address of the host.
    private static func answers(_ host: String, _ port: Int) -> Bool {
        HostLookup.addresses(of: host).prefix(4).contains { PortProbe.answers(address: $0, port: port) }
    }

    /// Addresses that lead each other node to itself. In a lab on one host, where the store is on it, too, they are
    /// what is meant.
    private static func loopback(_ effective: EffectiveConfiguration) -> [String] {
        let own: Set = ["127.0.0.1", "::1", "localhost"]
        let endpoints = effective.store.endpoints.addresses
        if !endpoints.isEmpty, endpoints.allSatisfy({ own.contains($0.host) }) { return [] }
        let addresses = [
            ("restapi.connect_address", effective.restAPI.connectAddress.host),
            ("postgresql.connect_address", effective.postgreSQL.connectAddress.host),
            ("postgresql.proxy_address", effective.postgreSQL.proxyAddress?.host ?? ""),
        ]
        return addresses.filter { own.contains($0.1) }.map { path, host in
            effective.problem(path, "other nodes find themselves at \(host); name this node's own address").description
        }
    }

    // MARK: Files

    private static func logDirectory(_ effective: EffectiveConfiguration) -> [ConfigurationProblem] {
        guard let directory = effective.log.directory else { return [] }
        if Files.kind(followingLinks: directory) != .directory {
            return [effective.problem("log.dir", "\(Secrets.shown(directory)) is not a directory")]
        }
        if access(directory, W_OK) == 0 { return [] }
        return [effective.problem("log.dir", "\(Secrets.shown(directory)) cannot be written to")]
    }

    /// The daemon writes it, and makes the directories above it.
    private static func passwordFile(_ effective: EffectiveConfiguration) -> [ConfigurationProblem] {
        let settings = effective.postgreSQL
        if settings.hasDefaultPasswordFile { return [] }
        let file = settings.passwordFile
        func problem(_ message: String) -> [ConfigurationProblem] {
            [effective.problem("postgresql.pgpass", "\(Secrets.shown(file)) \(message)")]
        }
        if Files.exists(file), Files.kind(followingLinks: file) != .file { return problem("is not a file") }
        var directory = Files.parent(file)
        while !Files.exists(directory), directory != "/" { directory = Files.parent(directory) }
        let isUsable = Files.kind(followingLinks: directory) == .directory && access(directory, W_OK | X_OK) == 0
        return isUsable ? [] : problem("cannot be written: \(Secrets.shown(directory)) is closed to this user")
    }

    private static func files(_ effective: EffectiveConfiguration) -> [ConfigurationProblem] {
        let (tls, ctl, store) = (effective.restAPI.tls, effective.ctl, effective.store.files)
        let section = effective.store.endpoints.section
        let named: [(String, String?)] = [
            ("restapi.certfile", tls?.certificateFile), ("restapi.keyfile", tls?.keyFile),
            ("restapi.cafile", tls?.authorityFile), ("ctl.certfile", ctl.certificateFile),
            ("ctl.keyfile", ctl.keyFile), ("ctl.cacert", ctl.authorityFile),
            ("\(section).cacert", store.authority), ("\(section).cert", store.certificate),
            ("\(section).key", store.key),
            ("postgresql.custom_conf", effective.postgreSQL.customConfiguration.flatMap { $0.first == "/" ? $0 : nil }),
        ]
        return named.compactMap { path, file in
            guard let file, !Files.isReadable(file), effective.origin(of: path) != nil else { return nil }
            return effective.problem(path, "\(Secrets.shown(file)) cannot be read")
        }
    }
}

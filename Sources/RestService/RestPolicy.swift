import ClusterAccess
import Configuration
import ControlAPI
import HTTPServer
import Logging

/// What the `restapi` section means for the server: pure, from settings to settings. Apart from the rest because
/// `ListenAddress` means something else there.
enum RestPolicy {
    static func address(_ settings: RestAPISettings) -> ListenAddress {
        ListenAddress(host: settings.listenHost, port: UInt16(clamping: settings.listenPort))
    }

    static func configuration(
        _ settings: RestAPISettings, _ tls: TLSContext?, _ logger: Logger
    ) -> HTTPServerConfiguration {
        var configuration = HTTPServerConfiguration(listen: [address(settings)])
        configuration.settings = serverSettings(settings, tls)
        // Patroni's default of 5 would turn clients away at a burst; more may be asked for.
        configuration.backlog = max(configuration.backlog, Int32(clamping: settings.requestQueueSize))
        configuration.handshakeTimeout = settings.handshakeTimeout
        configuration.requestTimeout = settings.requestTimeout
        configuration.accessLog = { access in logger.debug("\(access)") }
        return configuration
    }

    static func serverSettings(_ settings: RestAPISettings, _ tls: TLSContext?) -> HTTPServerSettings {
        let name =
            switch settings.serverTokens {
            case .original: "Matriarch/\(Version.own)"
            case .minimal: "Patroni/\(Version.patroni)"
            case .productOnly: "Patroni"
            }
        var headers: HTTPHeaders = [:]
        for header in settings.extraHeaders { headers.append(header.name, header.value) }
        return HTTPServerSettings(serverName: name, extraHeaders: headers, tls: tls)
    }

    /// The present context stays where nothing was changed: clients go on resuming their sessions.
    static func present(_ fresh: TLSContext?, _ present: TLSContext?) -> TLSContext? {
        guard let fresh, let present, fresh.isSame(as: present) else { return fresh }
        return present
    }

    static func configuration(_ tls: RestAPISettings.TLS) -> TLSConfiguration {
        let verification: TLSConfiguration.ClientVerification =
            switch tls.verifyClient {
            case .none: .none
            case .optional: .optional
            case .required: .required
            }
        return TLSConfiguration(
            certificateFile: tls.certificateFile, keyFile: tls.keyFile, keyFilePassword: tls.keyFilePassword,
            authorityFile: tls.authorityFile, ciphers: tls.ciphers, clientVerification: verification)
    }

    /// Networks count as they are, names by what they stand for in `addresses`: nothing, where they are not known.
    static func access(_ settings: RestAPISettings, _ addresses: [String: [String]]) -> AccessRules {
        let networks = settings.allowlist.flatMap { entry in
            IPNetwork(entry).map { [$0] } ?? (addresses[entry] ?? []).compactMap { IPNetwork(address: $0) }
        }
        return AccessRules(
            username: settings.authentication?.username, password: settings.authentication?.password,
            addresses: AccessRules.Addresses(
                networks: settings.allowlist.isEmpty ? nil : networks,
                includesMembers: settings.allowlistIncludesMembers),
            needsCertificate: settings.tls.map { $0.verifyClient != .none } ?? false)
    }
}

import Configuration
import ControlAPI
import HTTPServer
import Logging
import Posix
import Synchronization

/// The REST server as configured: made once, and kept in step with the configuration and with the certificate's files.
/// Apart from the rest because `ListenAddress` means something else there.
actor RestServer {
    private let server: HTTPServer
    private let api: ControlAPI
    private let logger: Logger
    private var settings: RestAPISettings
    /// Where the server listens.
    private var place: ListenAddress
    /// Where the other members find it.
    private(set) var apiURL: String
    private var watch: Task<Void, Never>?
    /// When the certificate's files were changed, as of the last reading, with or without success.
    private var stamps: [Int64?] = []
    private var tls: TLSContext?

    /// Reads the certificate, and resolves the names in `allowlist`.
    init(_ settings: RestAPISettings, api: ControlAPI, logger: Logger) async throws {
        self.settings = settings
        place = Self.address(settings)
        apiURL = settings.apiURL
        self.api = api
        self.logger = logger
        stamps = await Self.stamps(settings)
        tls = try await Self.context(settings)
        let configuration = Self.configuration(settings, tls, logger)
        server = HTTPServer(configuration: configuration, handler: api, logger: logger)
        api.adopt(await Self.access(settings, logger))
    }

    func start() async throws {
        try await server.start()
        watch = Task { [weak self] in
            while !Task.isCancelled {
                try? await Task.sleep(for: .seconds(1))
                await self?.followCertificate()
            }
        }
    }

    func stop() async {
        watch?.cancel()
        await server.stop(drain: .seconds(1))
    }

    /// The configuration was read again. Open connections go on as they are; who is let in changes at once. Where the
    /// new address cannot be listened at, or the certificate that TLS begins with cannot be read, the present ones
    /// stay, and what is published of them, until the next call.
    func adopt(_ fresh: RestAPISettings) async {
        api.adopt(await Self.access(fresh, logger))
        settings = fresh
        await readCertificate(stamps: await Self.stamps(fresh))
        if await move(to: Self.address(fresh)) { apiURL = fresh.apiURL(isEncrypted: tls != nil) }
    }

    /// Whether the server listens where and how the configuration says.
    var isInPlace: Bool { Self.address(settings) == place && (settings.tls == nil) == (tls == nil) }

    private func move(to wanted: ListenAddress) async -> Bool {
        if wanted == place { return true }
        do throws(HTTPServerError) {
            let addresses = try await server.move(to: [wanted])
            logger.info("restapi.listen: \(place) is left for \(addresses)")
            place = wanted
            return true
        } catch {
            logger.error("restapi.listen: \(place) stays, \(wanted) cannot be listened at: \(error)")
            return false
        }
    }

    /// SIGHUP without a change: the certificate may have been replaced within a second.
    func reloadCertificate() async { await readCertificate(stamps: await Self.stamps(settings)) }

    private func followCertificate() async {
        // Where TLS has yet to begin, that is for the next reload, which publishes it.
        guard settings.tls != nil, tls != nil else { return }
        let fresh = await Self.stamps(settings)
        if fresh != stamps { await readCertificate(stamps: fresh) }
    }

    /// A certificate that cannot be used leaves the present one in place.
    private func readCertificate(stamps fresh: [Int64?]) async {
        let isNew = fresh != stamps
        stamps = fresh
        do {
            tls = try await Self.context(settings)
            server.adopt(Self.serverSettings(settings, tls))
            if isNew && tls != nil { logger.info("the certificate of the REST API was read again") }
        } catch {
            logger.error("the certificate of the REST API was not read again: \(error)")
        }
    }

    // MARK: From the configuration

    private static func address(_ settings: RestAPISettings) -> ListenAddress {
        ListenAddress(host: settings.listenHost, port: UInt16(clamping: settings.listenPort))
    }

    private static func configuration(
        _ settings: RestAPISettings, _ tls: TLSContext?, _ logger: Logger
    ) -> HTTPServerConfiguration {
        var configuration = HTTPServerConfiguration(listen: [address(settings)])
        configuration.settings = serverSettings(settings, tls)
        // The peer's default of 5 would turn clients away at a burst; more may be asked for.
        configuration.backlog = max(configuration.backlog, Int32(clamping: settings.requestQueueSize))
        configuration.handshakeTimeout = settings.handshakeTimeout
        configuration.requestTimeout = settings.requestTimeout
        configuration.accessLog = { access in
            logger.debug(
                "\(access.peer) \(access.method) \(access.target) \(access.status) \(access.latency.inMilliseconds)")
        }
        return configuration
    }

    private static func serverSettings(_ settings: RestAPISettings, _ tls: TLSContext?) -> HTTPServerSettings {
        let name =
            switch settings.serverTokens {
            case .original: "Matriarch/\(Version.own)"
            case .minimal: "Patroni/\(Version.peer)"
            case .productOnly: "Patroni"
            }
        var headers: HTTPHeaders = [:]
        for header in settings.extraHeaders { headers.append(header.name, header.value) }
        return HTTPServerSettings(serverName: name, extraHeaders: headers, tls: tls)
    }

    private static func context(_ settings: RestAPISettings) async throws -> TLSContext? {
        guard let tls = settings.tls else { return nil }
        return try await offPool { try TLSContext(configuration(tls)) }
    }

    private static func configuration(_ tls: RestAPISettings.TLS) -> TLSConfiguration {
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

    private static func stamps(_ settings: RestAPISettings) async -> [Int64?] {
        guard let tls = settings.tls else { return [] }
        let files = configuration(tls).files
        return (try? await offPool { files.map(Files.modificationTime) }) ?? []
    }

    private static func access(_ settings: RestAPISettings, _ logger: Logger) async -> AccessRules {
        AccessRules(
            username: settings.authentication?.username, password: settings.authentication?.password,
            addresses: AccessRules.Addresses(
                networks: settings.allowlist.isEmpty ? nil : await networks(settings.allowlist, logger),
                includesMembers: settings.allowlistIncludesMembers),
            needsCertificate: settings.tls.map { $0.verifyClient != .none } ?? false)
    }

    /// Networks as they are, names by what they resolve to now. What is neither is logged and opens nothing.
    private static func networks(_ entries: [String], _ logger: Logger) async -> [IPNetwork] {
        var found: [IPNetwork] = []
        for entry in entries {
            if let network = IPNetwork(entry) {
                found.append(network)
                continue
            }
            let addresses = entry.contains("/") ? [] : await lookUp(entry)
            if addresses.isEmpty { logger.error("restapi.allowlist: '\(entry)' is no network and has no address") }
            found += addresses.compactMap { IPNetwork($0) }
        }
        return found
    }

    /// The addresses of a host, looked up away from the cooperative pool.
    @Sendable static func lookUp(_ name: String) async -> [String] {
        (try? await offPool { HostLookup.addresses(of: name) }) ?? []
    }
}

extension Duration {
    fileprivate var inMilliseconds: String {
        let (seconds, attoseconds) = components
        return "\(seconds * 1000 + attoseconds / 1_000_000_000_000_000) ms"
    }
}

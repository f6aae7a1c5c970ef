import Configuration
import ControlAPI
import HTTPServer
import Logging
import Node
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
    /// The last reading of the certificate; the next begins when it has ended.
    private var reading: Task<Void, Never>?
    private let names: HostAddresses
    /// What the names in `allowlist` stood for when they were last looked up.
    private var addresses: [String: [String]] = [:]
    private let lookups = OneAtATime()
    /// What holds as it was at the start, whatever is configured meanwhile.
    private let begun: RestAPISettings

    /// Reads the certificate. Names in `allowlist` let nobody in before they are looked up, which `start` begins: the
    /// first cycle does not wait for a resolver.
    init(_ settings: RestAPISettings, api: ControlAPI, logger: Logger) async throws {
        self.settings = settings
        begun = settings
        names = HostAddresses(
            clock: SystemClock(), freshness: .zero, patience: Self.namePatience, resolve: Self.lookUp)
        place = Self.address(settings)
        apiURL = settings.apiURL
        self.api = api
        self.logger = logger
        stamps = await Self.stamps(settings)
        tls = try await Self.context(settings)
        let configuration = Self.configuration(settings, tls, logger)
        server = HTTPServer(configuration: configuration, handler: api, logger: logger)
        api.adopt(Self.access(settings, [:]))
    }

    /// A name server may be tried after others that are silent; until then the names stand for what they did.
    private static let namePatience = Duration.seconds(30)

    func start() async throws {
        try await server.start()
        lookUpNames()
        watch = Task { [weak self] in
            while !Task.isCancelled {
                try? await Task.sleep(for: .seconds(1))
                await self?.readCertificate(onlyIfChanged: true)
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
        if !fresh.settingsOfStart(otherThanIn: settings).isEmpty {
            for name in fresh.settingsOfStart(otherThanIn: begun) {
                logger.warning("restapi.\(name): the change holds from the next start of the daemon on")
            }
        }
        settings = fresh
        api.adopt(Self.access(fresh, addresses))
        lookUpNames()
        await readCertificate()
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

    /// SIGHUP without a change: the certificate may have been replaced within a second, and a name that had no address
    /// may have one.
    func refresh() async {
        if addresses.values.contains(where: \.isEmpty) { lookUpNames() }
        await readCertificate()
    }

    /// Reads after all readings that have begun before: an older one never replaces what a newer one found.
    private func readCertificate(onlyIfChanged: Bool = false) async {
        let before = reading
        let next = Task {
            await before?.value
            await readCertificateNow(onlyIfChanged)
        }
        reading = next
        await next.value
    }

    /// A certificate that cannot be used leaves the present one in place.
    private func readCertificateNow(_ onlyIfChanged: Bool) async {
        let settings = settings
        // Where TLS has yet to begin, that is for the next reload, which publishes it.
        if onlyIfChanged && (settings.tls == nil || tls == nil) { return }
        let fresh = await Self.stamps(settings)
        let isNew = fresh != stamps
        if onlyIfChanged && !isNew { return }
        stamps = fresh
        do {
            tls = Self.present(try await Self.context(settings), tls)
            server.adopt(Self.serverSettings(settings, tls))
            if isNew && tls != nil { logger.info("the certificate of the REST API was read again") }
        } catch {
            logger.error("the certificate of the REST API was not read again: \(error)")
        }
    }

    // MARK: Names in the allowlist

    /// Has the names looked up in the background, and then the access rules follow.
    private func lookUpNames() { lookups.ask { await self.lookUpNamesNow() } }

    private func lookUpNamesNow() async {
        let (names, entries) = (names, Set(settings.allowlist.filter { IPNetwork($0) == nil }))
        addresses = addresses.filter { entries.contains($0.key) }
        await withTaskGroup(of: (String, [String]).self) { group in
            for entry in entries {
                group.addTask { (entry, entry.contains("/") ? [] : await names.addresses(of: entry)) }
            }
            // One that hangs holds up no other.
            for await (entry, found) in group {
                if found.isEmpty { logger.error("restapi.allowlist: '\(entry)' is no network and has no address") }
                addresses[entry] = found
                api.adopt(Self.access(settings, addresses))
            }
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
        configuration.accessLog = { access in logger.debug("\(access)") }
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

    /// The present context stays where nothing was changed: clients go on resuming their sessions.
    private static func present(_ fresh: TLSContext?, _ present: TLSContext?) -> TLSContext? {
        guard let fresh, let present, fresh.isSame(as: present) else { return fresh }
        return present
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

    /// Networks count as they are, names by what they stand for in `addresses`: nothing, where they are not known.
    private static func access(_ settings: RestAPISettings, _ addresses: [String: [String]]) -> AccessRules {
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

    /// The addresses of a host, looked up away from the cooperative pool.
    @Sendable static func lookUp(_ name: String) async -> [String] {
        (try? await offPool { HostLookup.addresses(of: name) }) ?? []
    }
}

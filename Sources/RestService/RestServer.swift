import ClusterAccess
public import Configuration
public import ControlAPI
public import HTTPServer
public import Logging
import Posix
import Tasks

/// The REST server as configured: made once, and kept in step with the configuration and with the certificate's files.
public actor RestServer {
    private let server: HTTPServer
    /// Who may change something, for whoever answers.
    private let admit: @Sendable (AccessRules) -> Void
    private let logger: Logger
    private var settings: RestAPISettings
    /// Where the server listens.
    private var place: ListenAddress
    /// Where the other members find it.
    public private(set) var apiURL: String
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
    public init(
        _ settings: RestAPISettings, handler: any HTTPHandler, logger: Logger,
        resolve: @escaping @Sendable (String) async -> [String] = RestServer.lookUp,
        admit: @escaping @Sendable (AccessRules) -> Void
    ) async throws {
        self.settings = settings
        begun = settings
        names = HostAddresses(
            clock: SystemClock(), freshness: .zero, patience: Self.namePatience, resolve: resolve)
        place = RestPolicy.address(settings)
        apiURL = settings.apiURL
        self.admit = admit
        self.logger = logger
        stamps = await Self.stamps(settings)
        tls = try await Self.context(settings)
        let configuration = RestPolicy.configuration(settings, tls, logger)
        server = HTTPServer(configuration: configuration, handler: handler, logger: logger)
        admit(RestPolicy.access(settings, [:]))
    }

    /// A name server may be tried after others that are silent; until then the names stand for what they did.
    private static let namePatience = Duration.seconds(30)

    public func start() async throws {
        try await server.start()
        lookUpNames()
        watch = Task { [weak self] in
            while !Task.isCancelled {
                try? await Task.sleep(for: .seconds(1))
                await self?.readCertificate(onlyIfChanged: true)
            }
        }
    }

    public func stop() async {
        watch?.cancel()
        await server.stop(drain: .seconds(1))
    }

    /// The configuration was read again. Open connections go on as they are; who is let in changes at once. Where the
    /// new address cannot be listened at, or the certificate that TLS begins with cannot be read, the present ones
    /// stay, and what is published of them, until the next call.
    public func adopt(_ fresh: RestAPISettings) async {
        if !fresh.settingsOfStart(otherThanIn: settings).isEmpty {
            for name in fresh.settingsOfStart(otherThanIn: begun) {
                logger.warning("restapi.\(name): the change holds from the next start of the daemon on")
            }
        }
        settings = fresh
        admit(RestPolicy.access(fresh, addresses))
        lookUpNames()
        await readCertificate()
        if await move(to: RestPolicy.address(fresh)) { apiURL = fresh.apiURL(isEncrypted: tls != nil) }
    }

    /// Whether the server listens where and how the configuration says.
    public var isInPlace: Bool { RestPolicy.address(settings) == place && (settings.tls == nil) == (tls == nil) }

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
    public func refresh() async {
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
            tls = RestPolicy.present(try await Self.context(settings), tls)
            server.adopt(RestPolicy.serverSettings(settings, tls))
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
                admit(RestPolicy.access(settings, addresses))
            }
        }
    }

    // MARK: From files

    private static func context(_ settings: RestAPISettings) async throws -> TLSContext? {
        guard let tls = settings.tls else { return nil }
        return try await offPool { try TLSContext(RestPolicy.configuration(tls)) }
    }

    private static func stamps(_ settings: RestAPISettings) async -> [Int64?] {
        guard let tls = settings.tls else { return [] }
        let files = RestPolicy.configuration(tls).files
        return (try? await offPool { files.map(Files.modificationTime) }) ?? []
    }

    /// The addresses of a host, looked up away from the cooperative pool.
    @Sendable public static func lookUp(_ name: String) async -> [String] {
        (try? await offPool { HostLookup.addresses(of: name) }) ?? []
    }
}

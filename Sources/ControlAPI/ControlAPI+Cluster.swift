import ClusterModel
import HTTPServer
import HighAvailability
import JSON
import Logging
import Ports

/// What is read from and written to the store: `/cluster`, `/history`, `/config`.
extension ControlAPI {
    /// Requests of clients wait as long for the store as the cycle does.
    var storeDeadline: BootInstant { clock.now() + node.snapshot().settings.timings.retryTimeout }

    /// A fresh view, or the answer where the store does not give one.
    func freshView() async -> Result<ClusterView, Unavailable> {
        switch await views.load(until: storeDeadline) {
        case .success(let view): return .success(view)
        case .failure(let error):
            logger.warning("a request could not be answered: \(error)")
            return .failure(Unavailable())
        }
    }

    /// The store does not answer.
    struct Unavailable: Error {
        /// Everybody may ask: where the store is, and what is wrong there, stands in the log.
        var response: HTTPResponse { .stockError(503, explanation: "the DCS does not answer") }
    }

    func cluster() async -> HTTPResponse {
        switch await freshView() {
        case .failure(let unavailable): return unavailable.response
        case .success(let view): return cluster(view)
        }
    }

    func cluster(_ view: ClusterView) -> HTTPResponse {
        clusters.answer(view) {
            Self.json(.object(ClusterDocument.object(view, settings(of: view), scope: node.snapshot().scope)))
        }
    }

    /// The toggles of a view; where it has none, those that the node last knew.
    func settings(of view: ClusterView) -> DynamicConfiguration {
        guard let config = view.config, config.isValid else { return node.snapshot().settings }
        return DynamicConfiguration(document: config.data) ?? node.snapshot().settings
    }

    func history() async -> HTTPResponse {
        if let view = node.snapshot().cachedView(at: clock.now()) { return Self.json(view.history.json) }
        switch await freshView() {
        case .failure(let unavailable): return unavailable.response
        case .success(let view): return Self.json(view.history.json)
        }
    }

    // MARK: /config (rest-api.md §11)

    func configuration() async -> HTTPResponse {
        let view: ClusterView
        if let cached = node.snapshot().cachedView(at: clock.now()) {
            view = cached
        } else {
            switch await freshView() {
            case .failure(let unavailable): return unavailable.response
            case .success(let fresh): view = fresh
            }
        }
        guard let config = view.config, config.isValid else { return .stockError(502) }
        return Self.json(.object(Secrets.masked(config.data)))
    }

    func patchConfiguration(_ request: HTTPRequest) async -> HTTPResponse {
        let patch: JSONObject
        switch RequestBody.required(request) {
        case .refused(let response): return response
        case .object(let object): patch = object
        }
        switch await freshView() {
        case .failure(let unavailable): return unavailable.response
        case .success(let view):
            guard let config = view.config, config.isValid else { return .stockError(503) }
            var merged = config.data
            if merged.apply(patch: Secrets.restored(patch, from: config.data)) {
                if let refusal = Self.refusal(of: merged, inPlaceOf: config.data) { return refusal }
                let outcome = await write(.config, merged, .unchanged(since: config.revision))
                guard case .written = outcome else { return .stockError(outcome == nil ? 503 : 409) }
            }
            await node.wake("PATCH /config")
            return Self.json(.object(Secrets.masked(merged)))
        }
    }

    func putConfiguration(_ request: HTTPRequest) async -> HTTPResponse {
        let wanted: JSONObject
        switch RequestBody.required(request) {
        case .refused(let response): return response
        case .object(let object): wanted = object
        }
        // The peer writes without a condition; ours is a compare-and-swap (S9), tried again against a faster writer.
        for _ in 0..<3 {
            switch await freshView() {
            case .failure(let unavailable): return unavailable.response
            case .success(let view):
                let present = view.config.flatMap { $0.isValid ? $0.data : nil }
                let wanted = Secrets.restored(wanted, from: present ?? JSONObject())
                let answer = Self.json(.object(Secrets.masked(wanted)))
                if let present, JSONValue.object(present).deepEquals(.object(wanted)) { return answer }
                if let refusal = Self.refusal(of: wanted, inPlaceOf: present ?? JSONObject()) { return refusal }
                if case .written? = await write(.config, wanted, .asSeen(view.config?.revision)) { return answer }
            }
        }
        return .stockError(502)
    }

    private static func refusal(of document: JSONObject, inPlaceOf present: JSONObject) -> HTTPResponse? {
        do throws(DynamicDocumentRules.Objection) {
            try DynamicDocumentRules.check(document, inPlaceOf: present)
            return nil
        } catch {
            return .stockError(400, explanation: error.description)
        }
    }

    /// Nil where the store did not answer.
    func write(_ key: DCSKey, _ value: JSONObject, _ condition: WriteCondition) async -> WriteOutcome? {
        defer { views.forget() }
        do {
            return try await store.write(key, JSON.text(value, .compact), if: condition, deadline: storeDeadline)
        } catch {
            logger.warning("writing /\(key.rawValue) failed: \(error)")
            return nil
        }
    }

    func reload() async -> HTTPResponse {
        await node.reload()
        return .text(202, "reload scheduled")
    }
}

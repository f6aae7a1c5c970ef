import ClusterModel
import HTTPServer
import HighAvailability
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
            return .failure(Unavailable(error))
        }
    }

    /// The store does not answer, or refuses.
    struct Unavailable: Error {
        /// Everybody may ask: where the store is, and who is wrong there, stands in the log. What the store itself says
        /// of its trouble is no secret.
        let reason: String?

        init(_ error: DCSError) {
            switch error {
            case .unreachable, .unauthorized: reason = nil
            case .failed(let reason): self.reason = String(decoding: reason.utf8.prefix(500), as: UTF8.self)
            }
        }

        /// For an answer that says already what failed.
        var suffix: String { reason.map { ": \($0)" } ?? "" }
        var text: String { reason ?? "the DCS does not answer" }
        var response: HTTPResponse { .stockError(503, explanation: text) }
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

    func history(at now: BootInstant) async -> HTTPResponse {
        if let view = node.snapshot().cachedView(at: now) { return Self.json(view.history.json) }
        switch await freshView() {
        case .failure(let unavailable): return unavailable.response
        case .success(let view): return Self.json(view.history.json)
        }
    }

    // MARK: /config (rest-api.md §11)

    func configuration(at now: BootInstant) async -> HTTPResponse {
        let view: ClusterView
        if let cached = node.snapshot().cachedView(at: now) {
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
                if let refusal = await refusal(of: merged, inPlaceOf: config.data, request) { return refusal }
                switch await write(.config, merged, .unchanged(since: config.revision)) {
                case .failure(let unavailable): return unavailable.response
                case .success(.refused): return .stockError(409)
                case .success(.written): break
                }
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
        var trouble: Unavailable?
        // Patroni writes without a condition; ours is a compare-and-swap (S9), tried again against a faster writer.
        for _ in 0..<3 {
            switch await freshView() {
            case .failure(let unavailable): return unavailable.response
            case .success(let view):
                let present = view.config.flatMap { $0.isValid ? $0.data : nil }
                let wanted = Secrets.restored(wanted, from: present ?? JSONObject())
                let answer = Self.json(.object(Secrets.masked(wanted)))
                if let present, JSONValue.object(present).deepEquals(.object(wanted)) { return answer }
                if let refusal = await refusal(of: wanted, inPlaceOf: present ?? JSONObject(), request) {
                    return refusal
                }
                switch await write(.config, wanted, .asSeen(view.config?.revision)) {
                case .success(.written): return answer
                case .success(.refused): trouble = nil
                case .failure(let unavailable): trouble = unavailable
                }
            }
        }
        return .stockError(502, explanation: trouble?.text)
    }

    /// The answer to a document that no node could use, or that the PostgreSQL here would not start with, each key with
    /// its reason; nil where nothing speaks against it. `?force=true` passes over what PostgreSQL says, no more: what
    /// it refuses is left out by every node as long as it stands there.
    private func refusal(
        of document: JSONObject, inPlaceOf present: JSONObject, _ request: HTTPRequest
    ) async -> HTTPResponse? {
        let check = configurationRules.judge(document, present)
        if !check.objections.isEmpty { return Self.refusal(check.objections, hint: "") }
        let isForced = request.queryValue("force").flatMap { ValueParsing.bool($0) } ?? false
        let said = await configurationRules.trial(document)
        if !said.isEmpty {
            let before = Set(await configurationRules.trial(present))
            let new = said.filter { !before.contains($0) }
            if !new.isEmpty, !isForced {
                return Self.refusal(new, hint: "; with ?force=true it is written all the same")
            }
            for objection in new { logger.warning("/config is changed by force: \(objection)") }
        }
        for remark in check.remarks { logger.warning("/config: \(remark)") }
        return nil
    }

    private static let objectionsMax = 20

    private static func refusal(_ objections: [DynamicDocumentRules.Objection], hint: String) -> HTTPResponse {
        let more = objections.count - objectionsMax
        let lines = objections.prefix(objectionsMax).map(\.description) + (more > 0 ? ["and \(more) more"] : [])
        return .stockError(400, explanation: lines.joined(separator: "\n") + hint)
    }

    func write(
        _ key: DCSKey, _ value: JSONObject, _ condition: WriteCondition
    ) async -> Result<WriteOutcome, Unavailable> {
        defer { views.forget() }
        do throws(DCSError) {
            return .success(try await store.write(key, .object(value), if: condition, deadline: storeDeadline))
        } catch {
            logger.warning("writing /\(key.rawValue) failed: \(error)")
            return .failure(Unavailable(error))
        }
    }

    func reload() async -> HTTPResponse {
        await node.reload()
        return .text(202, "reload scheduled")
    }
}

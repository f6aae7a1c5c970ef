import ClusterModel
import HTTPServer
import HighAvailability
import Synchronization

/// The rendered documents of the present snapshot. What time alone changes in them is part of what they go by.
final class Renderings: Sendable {
    enum Document: Hashable {
        /// The status document, with this code.
        case status(Int)
        case metrics
    }

    private struct Moment: Equatable {
        var serial: UInt64
        var isFresh: Bool
        var isLeader: Bool
        var isExpired: Bool
        var isFailsafe: Bool
    }

    private struct Cache {
        var moment = Moment(serial: 0, isFresh: false, isLeader: false, isExpired: false, isFailsafe: false)
        var answers: [Document: HTTPResponse] = [:]
    }

    private let cache = Mutex(Cache())

    func answer(
        _ document: Document, _ published: PublishedSnapshot, now: BootInstant,
        render: (NodeSnapshot) -> HTTPResponse
    ) -> HTTPResponse {
        let moment = Moment(
            serial: published.snapshot.serial, isFresh: published.snapshot.hasCachedView(at: now),
            isLeader: published.snapshot.isLeader(at: now), isExpired: published.snapshot.isExpired(at: now),
            isFailsafe: published.snapshot.isFailsafeActive(at: now))
        let known = cache.withLock { cache in
            if cache.moment != moment { cache = Cache(moment: moment) }
            return cache.answers[document]
        }
        if let known { return known }
        let rendered = render(published.snapshot).prerendered()
        cache.withLock { cache in
            if cache.moment == moment { cache.answers[document] = rendered }
        }
        return rendered
    }
}

/// The rendered body of `/cluster`: the same revision of the store holds the same cluster.
final class ClusterRendering: Sendable {
    private let known = Mutex<(revision: Revision, answer: HTTPResponse)?>(nil)

    /// What was rendered of this revision.
    func answer(of revision: Revision) -> HTTPResponse? {
        known.withLock { known in known?.revision == revision ? known?.answer : nil }
    }

    func answer(_ view: ClusterView, render: () -> HTTPResponse) -> HTTPResponse {
        let rendered = known.withLock { known in
            // A store that has begun another life counts anew.
            if let before = known, view.revision < before.revision { known = nil }
            return known?.revision == view.revision ? known?.answer : nil
        }
        if let rendered { return rendered }
        let answer = render().prerendered()
        // Without a configuration of its own the view is judged by what the node last knew, which no revision tells.
        if let config = view.config, config.isValid, DynamicConfiguration(document: config.data) != nil {
            known.withLock { $0 = (view.revision, answer) }
        }
        return answer
    }
}

public import ClusterModel

/// Where the watch stands in the store's log, and which events are new: the part of the watch that must not be wrong.
public struct WatchPosition: Sendable, Hashable {
    /// Everything up to here was told; nil where that is not known and the cluster must be read again.
    public private(set) var told: Revision?
    /// The life of the store in which it counts (`StoreLife`).
    public private(set) var life = 0

    /// Nowhere yet.
    public init() {}

    /// The reader has been told to read everything, and what it reads is at least of this revision.
    public mutating func start(at revision: Revision, life: Int) { (told, self.life) = (revision, life) }

    /// The log cannot be followed from here: it was compacted, or it is another cluster's.
    public mutating func lose() { told = nil }

    /// The revision to ask for. None follows the last that can be numbered, which no store reaches by counting.
    public var next: Revision? { told.flatMap { $0 == .max ? nil : $0 + 1 } }

    /// The store is in `life` by now: revisions of another one mean nothing in it.
    public mutating func enter(_ life: Int) {
        if life != self.life { lose() }
    }

    /// Whether a change of that revision was not told yet.
    public func isNews(_ revision: Revision) -> Bool { told.map { revision > $0 } ?? false }

    /// Takes one document's events: those that were not told before. Events of one revision come in one document.
    public mutating func take<Event: StoreEvent>(_ events: [Event]) -> [Event] {
        let new = events.filter { isNews($0.revision) }
        for event in new { progress(to: event.revision) }
        return new
    }

    /// The server has told everything up to `revision`.
    public mutating func progress(to revision: Revision) {
        if let told { self.told = max(told, revision) }
    }
}

/// A change of the store's.
public protocol StoreEvent {
    /// When it was made, in the store's own count.
    var revision: Revision { get }
}

import ClusterModel

/// Where the watch stands in the store's log, and which events are new: the part of the watch that must not be wrong.
struct WatchPosition: Sendable, Hashable {
    /// Everything up to here was told; nil where that is not known and the cluster must be read again.
    private(set) var told: Revision?

    /// The reader has been told to read everything, and what it reads is at least of this revision.
    mutating func start(at revision: Revision) { told = revision }

    /// The log cannot be followed from here: it was compacted, or it is another cluster's.
    mutating func lose() { told = nil }

    /// The revision to ask for. None follows the last that can be numbered, which no store reaches by counting.
    var next: Revision? { told.flatMap { $0 == .max ? nil : $0 + 1 } }

    /// Takes one document's events: those that were not told before. Events of one revision come in one document.
    mutating func take(_ events: [EtcdEvent]) -> [EtcdEvent] {
        guard let told else { return [] }
        let new = events.filter { $0.revision > told }
        self.told = new.reduce(told) { max($0, $1.revision) }
        return new
    }

    /// The server has told everything up to `revision`.
    mutating func progress(to revision: Revision) {
        if let told { self.told = max(told, revision) }
    }
}

/// Finds out a watch that is open but dead: reads see changes that it does not bring.
struct WatchLag: Sendable, Hashable {
    private var behindSince: BootInstant?

    /// `newest` is the highest revision of a key in a read; true if the watch has been behind such for `limit`.
    mutating func observe(newest: Revision, told: Revision?, at now: BootInstant, limit: Duration) -> Bool {
        guard let told, newest > told else {
            behindSince = nil
            return false
        }
        guard let since = behindSince else {
            behindSince = now
            return false
        }
        if now - since < limit { return false }
        behindSince = nil
        return true
    }
}

import ClusterModel

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

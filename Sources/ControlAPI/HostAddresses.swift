import ClusterModel
public import Ports

/// The addresses that hosts' names stand for. Names are looked up side by side, and nobody waits for a resolver longer
/// than `patience`. However many ask, there is one lookup per name at a time, and no more than `lookupsMax` in all:
/// each may hold a thread.
public actor HostAddresses {
    static let lookupsMax = 64

    private struct Lookup {
        var waiting: [CheckedContinuation<[String], Never>] = []
        var timer: Task<Void, Never>?
        /// Whoever asks now is not kept waiting.
        var isLate = false
    }

    private let clock: any Clock
    private let freshness: Duration
    private let patience: Duration
    private let resolve: @Sendable (String) async -> [String]
    private var known: [String: (addresses: [String], at: BootInstant)] = [:]
    private var underWay: [String: Lookup] = [:]

    /// `resolve` gives the addresses of one name, none where it has none; what it gave counts for `freshness`. A lookup
    /// that is under way counts for everybody.
    public init(
        clock: any Clock, freshness: Duration, patience: Duration,
        resolve: @escaping @Sendable (String) async -> [String]
    ) {
        self.clock = clock
        self.freshness = freshness
        self.patience = patience
        self.resolve = resolve
    }

    /// What the names stand for; nothing for one that is not known in time.
    public func addresses(of names: [String]) async -> [String: [String]] {
        await withTaskGroup(of: (String, [String]).self) { group in
            for name in Set(names) { group.addTask { (name, await self.addresses(of: name)) } }
            var found: [String: [String]] = [:]
            for await (name, addresses) in group { found[name] = addresses }
            return found
        }
    }

    private func addresses(of name: String) async -> [String] {
        if let entry = known[name], clock.now() - entry.at < freshness { return entry.addresses }
        if underWay[name] == nil {
            if underWay.count >= Self.lookupsMax { return [] }
            begin(name)
        }
        if underWay[name]?.isLate == true { return [] }
        return await withCheckedContinuation { underWay[name]?.waiting.append($0) }
    }

    private func begin(_ name: String) {
        let now = clock.now()
        known = known.filter { now - $0.value.at < freshness }
        let patience = patience
        let timer = Task {
            try? await Task.sleep(for: patience)
            if !Task.isCancelled { giveUp(name) }
        }
        underWay[name] = Lookup(timer: timer)
        Task { end(name, await resolve(name)) }
    }

    private func giveUp(_ name: String) {
        underWay[name]?.isLate = true
        for continuation in underWay[name]?.waiting ?? [] { continuation.resume(returning: []) }
        underWay[name]?.waiting = []
    }

    private func end(_ name: String, _ addresses: [String]) {
        known[name] = (addresses, clock.now())
        let lookup = underWay.removeValue(forKey: name)
        lookup?.timer?.cancel()
        for continuation in lookup?.waiting ?? [] { continuation.resume(returning: addresses) }
    }
}

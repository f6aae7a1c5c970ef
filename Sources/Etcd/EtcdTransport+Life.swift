import ClusterModel
import Logging
import Posix

/// Which life of the store is known, and what the next daemon is to know of it.
extension EtcdTransport {
    /// The life of the store that is known (`StoreLife`).
    var life: Int { storeLife.number }

    /// For how much longer the leader key is not claimed (`StoreLife`); nil where nothing forbids it.
    func holdsBackClaims(withValidLease hasValidLease: Bool) -> Duration? {
        storeLife.holdsBackClaims(withValidLease: hasValidLease, at: BootClock.now())
    }

    /// Takes in what a reply, or a document of a watch, tells of its server; `floor` as in `StoreLife`. The life that
    /// it is of.
    @discardableResult
    func learn(_ header: StoreHeader, of endpoint: String, floor: StoreLife.Floor? = nil) throws(EtcdError) -> Int {
        switch storeLife.learn(header, floor: floor, at: BootClock.now(), ttl: ttl) {
        case .known: break
        case .stale(let difference, let isNews):
            if isNews {
                logger.warning(
                    """
                    \(endpoint) is not the store that was known: \(difference). If nothing else answers for a ttl \
                    (\(ttl.inSeconds) s) it is taken for the store; until then nothing is claimed or written there
                    """)
            }
            throw .staleNode("\(endpoint) lags behind, or is another store: \(difference)")
        case .accepted(let difference):
            logger.warning("\(endpoint) is the store from now on, whose memory is another: \(difference)")
            watched.leave(allBut: nil)
        }
        keepMark()
        return storeLife.number
    }

    /// What a load has shown of the leader key.
    func see(leader revision: Revision, in present: Revision, of life: Int) {
        let now = BootClock.now()
        let before = storeLife.unsettled(at: now)
        storeLife.see(leader: revision, in: present, of: life, at: now, ttl: ttl)
        if before == nil, let wait = storeLife.unsettled(at: now) {
            logger.warning(
                """
                etcd was set back: its leader key is older than the one that was seen before. Nobody takes it for \
                \(wait.inSeconds) s
                """)
        }
        keepMark()
    }

    private func keepMark() {
        guard let marks, let mark = storeLife.mark?.telling(of: keys.prefix) else { return }
        if markPace.isDue(mark, at: BootClock.now()) { marks.keep(mark) }
    }
}

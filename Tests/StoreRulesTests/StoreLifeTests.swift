import ClusterModel
import StoreRules
import Testing

/// A store that has forgotten, or is another one, is refused for a ttl and taken afterwards.
@Suite struct StoreLifeTests {
    private static let ttl = Duration.seconds(30)

    private enum Verdict { case known, stale, news, accepted }

    /// Seconds, the answer's cluster, term and revision, whether a quorum stood behind it, and what it is taken for.
    private typealias Row = (at: Int, cluster: String, term: UInt64, revision: Revision, isProof: Bool, Verdict)

    private func expect(_ rows: [Row], lives: Int, sourceLocation: SourceLocation = #_sourceLocation) {
        var life = StoreLife()
        for row in rows {
            let header = StoreHeader(clusterID: row.cluster, raftTerm: row.term, revision: row.revision)
            let now = BootInstant(nanoseconds: 0) + .seconds(row.at)
            let verdict: Verdict =
                switch life.learn(header, floor: row.isProof ? life.floor : nil, at: now, ttl: Self.ttl) {
                case .known: .known
                case .stale(_, let isNews): isNews ? .news : .stale
                case .accepted: .accepted
                }
            #expect(verdict == row.5, "\(row)", sourceLocation: sourceLocation)
        }
        #expect(life.number == lives, sourceLocation: sourceLocation)
    }

    @Test func aMemberThatLagsIsStaleForEver() {
        expect(
            [
                (0, "a", 3, 10, true, .known), (1, "a", 4, 12, true, .known), (2, "a", 3, 10, false, .stale),
                (90, "a", 3, 10, false, .stale), (91, "a", 4, 11, false, .known), (92, "", 0, 0, true, .known),
            ], lives: 0)
    }

    @Test func theSameClusterWithALowerTermIsTakenAfterATtl() {
        expect(
            [
                (0, "a", 7, 10, true, .known), (5, "a", 2, 1, true, .news), (34, "a", 2, 1, true, .stale),
                (35, "a", 2, 1, false, .stale), (35, "a", 2, 1, true, .accepted), (36, "a", 2, 2, true, .known),
            ], lives: 1)
    }

    @Test func theSameTermWithALowerRevisionIsAnotherLifeToo() {
        expect(
            [
                (0, "a", 2, 100, true, .known), (1, "a", 2, 3, true, .news), (2, "a", 2, 3, false, .known),
                (31, "a", 2, 4, true, .accepted), (32, "a", 2, 5, true, .known),
            ], lives: 1)
    }

    /// Its numbers mean other values, although they are no lower any more.
    @Test func whatWasSetBackAndHasGrownIsAnotherLife() {
        expect(
            [
                (0, "a", 2, 100, true, .known), (1, "a", 2, 90, true, .news), (20, "a", 2, 100, true, .accepted),
                (21, "a", 2, 101, true, .known), (22, "b", 2, 1, true, .news), (23, "a", 2, 102, true, .known),
            ], lives: 1)
    }

    /// A watch has told more than any read: it would wait for what the store has never had.
    @Test func whatAWatchHasToldTheStoreHas() {
        expect(
            [
                (0, "a", 2, 100, true, .known), (1, "a", 2, 120, false, .known), (2, "a", 2, 110, true, .news),
                (3, "a", 2, 90, false, .known), (32, "a", 2, 112, true, .accepted), (33, "a", 2, 112, true, .known),
            ], lives: 1)
    }

    @Test func anotherClusterIsTakenAfterATtlOfNothingElse() {
        expect(
            [
                (0, "a", 2, 100, true, .known), (1, "b", 9, 500, false, .news), (2, "b", 9, 500, true, .stale),
                (3, "a", 2, 101, true, .known), (31, "b", 9, 501, true, .news), (60, "b", 9, 501, true, .stale),
                (61, "b", 9, 501, true, .accepted), (62, "a", 2, 101, true, .news),
            ], lives: 1)
    }

    @Test func aThirdClusterBeginsItsOwnTime() {
        expect(
            [
                (0, "a", 2, 100, true, .known), (1, "b", 2, 1, true, .news), (20, "c", 2, 1, true, .news),
                (35, "c", 2, 1, true, .stale), (50, "c", 2, 1, true, .accepted),
            ], lives: 1)
    }
}

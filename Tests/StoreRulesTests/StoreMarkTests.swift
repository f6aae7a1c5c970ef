import ClusterModel
import StoreRules
import Testing

/// What an earlier daemon has left of the store that it knew.
@Suite struct StoreMarkTests {
    private static let mark = StoreMark(
        clusterID: "a", term: 4, revision: 100, ttl: .seconds(60), leader: 90)
    private static let ttl = Duration.seconds(30)

    private static func at(_ seconds: Int) -> BootInstant { BootInstant(nanoseconds: 0) + .seconds(seconds) }

    /// An answer that a quorum stands behind.
    private static func hear(_ header: StoreHeader, at seconds: Int, _ life: inout StoreLife) -> StoreLife.Verdict {
        life.learn(header, floor: life.floor, at: at(seconds), ttl: ttl)
    }

    private static func isStale(_ verdict: StoreLife.Verdict) -> Bool {
        if case .stale = verdict { true } else { false }
    }

    @Test(arguments: [
        StoreHeader(clusterID: "b", raftTerm: 9, revision: 900),
        StoreHeader(clusterID: "a", raftTerm: 2, revision: 900),
        StoreHeader(clusterID: "a", raftTerm: 4, revision: 99),
    ])
    func aDaemonThatBeginsRefusesAnotherStoreForAsLongAsTheLastLeaseMayRun(_ header: StoreHeader) {
        var life = StoreLife(Self.mark)
        #expect(Self.isStale(Self.hear(header, at: 0, &life)))
        // Its own ttl is not what was granted.
        #expect(Self.isStale(Self.hear(header, at: 31, &life)))
        let verdict = Self.hear(header, at: 60, &life)
        guard case .accepted = verdict else { return #expect(verdict == .known, "accepted") }
        #expect(life.number == 1)
        #expect(life.mark?.clusterID == header.clusterID)
    }

    @Test func theStoreThatWasKnownIsTakenAtOnce() {
        var life = StoreLife(Self.mark)
        let header = StoreHeader(clusterID: "a", raftTerm: 5, revision: 101)
        #expect(Self.hear(header, at: 0, &life) == .known)
        #expect(life.mark == StoreMark(clusterID: "a", term: 5, revision: 101, ttl: .seconds(60), leader: 90))
        // The longer leases have ended by then.
        #expect(Self.hear(header, at: 61, &life) == .known)
        #expect(life.mark?.ttl == Self.ttl)
    }

    @Test func withoutAMarkAnyStoreIsTaken() {
        var life = StoreLife()
        #expect(life.mark == nil)
        let header = StoreHeader(clusterID: "b", raftTerm: 2, revision: 3)
        #expect(Self.hear(header, at: 0, &life) == .known)
        #expect(life.mark == StoreMark(clusterID: "b", term: 2, revision: 3, ttl: Self.ttl))
    }

    /// It is not waited out before it is read; but nobody leads anew before whoever led has ended.
    @Test func nobodyTakesTheKeyOfAStoreThatHasGrownAgain() {
        var life = StoreLife(Self.mark)
        let low = StoreHeader(clusterID: "a", raftTerm: 4, revision: 95)
        let high = StoreHeader(clusterID: "a", raftTerm: 4, revision: 101)
        #expect(Self.isStale(Self.hear(low, at: 10, &life)))
        _ = Self.hear(high, at: 20, &life)
        #expect(life.number == 1)
        #expect(life.unsettled(at: Self.at(20)) == .seconds(50))
        #expect(life.unsettled(at: Self.at(70)) == nil)
    }

    /// Nobody has met it while it was behind: the leader key alone tells.
    @Test func aLeaderKeyThatIsOlderThanTheOneBeforeIsOfAStoreThatWasSetBack() {
        var life = StoreLife(Self.mark)
        let header = StoreHeader(clusterID: "a", raftTerm: 4, revision: 200)
        #expect(Self.hear(header, at: 0, &life) == .known)
        life.see(leader: 80, in: 150, of: 0, at: Self.at(0), ttl: Self.ttl)
        #expect(life.unsettled(at: Self.at(0)) == nil, "what was read before is overtaken")
        life.see(leader: 95, in: 200, of: life.number, at: Self.at(0), ttl: Self.ttl)
        #expect(life.unsettled(at: Self.at(0)) == nil)
        life.see(leader: 94, in: 200, of: life.number, at: Self.at(1), ttl: Self.ttl)
        #expect(life.unsettled(at: Self.at(1)) == .seconds(60))
    }

    @Test func whatAFormerLifeHasShownOfTheLeaderKeySaysNothing() {
        var life = StoreLife(Self.mark)
        #expect(Self.hear(StoreHeader(clusterID: "a", raftTerm: 4, revision: 200), at: 0, &life) == .known)
        life.see(leader: 80, in: 200, of: 1, at: Self.at(0), ttl: Self.ttl)
        #expect(life.unsettled(at: Self.at(0)) == nil)
        #expect(life.mark?.leader == 90)
    }

    /// The mark is of the new life already, by which the next daemon would find nothing amiss.
    @Test func theNextDaemonWaitsAsWell() throws {
        var life = StoreLife(Self.mark)
        let header = StoreHeader(clusterID: "a", raftTerm: 4, revision: 200)
        #expect(Self.hear(header, at: 0, &life) == .known)
        #expect(life.mark?.isUnsettled == false)
        life.see(leader: 80, in: 200, of: 0, at: Self.at(0), ttl: Self.ttl)
        let kept = try #require(life.mark)
        #expect(kept.isUnsettled)
        #expect(StoreMark(kept.text) == kept)
        // Within the wait it is restarted, and is not answered at first.
        life = StoreLife(kept)
        #expect(life.unsettled(at: Self.at(20)) == .seconds(60))
        #expect(Self.hear(header, at: 30, &life) == .known)
        #expect(life.unsettled(at: Self.at(30)) == .seconds(60))
        #expect(Self.hear(header, at: 89, &life) == .known)
        #expect(life.unsettled(at: Self.at(89)) == .seconds(1))
        #expect(life.mark?.isUnsettled == true)
        #expect(Self.hear(header, at: 90, &life) == .known)
        #expect(life.unsettled(at: Self.at(90)) == nil)
        #expect(life.mark?.isUnsettled == false)
    }

    @Test func whoHasAValidLeaseGoesOnWhileOthersAreWaitedFor() {
        var life = StoreLife(Self.mark)
        let header = StoreHeader(clusterID: "a", raftTerm: 4, revision: 200)
        #expect(Self.hear(header, at: 0, &life) == .known)
        #expect(life.holdsBackClaims(withValidLease: false, at: Self.at(0)) == nil)
        life.see(leader: 80, in: 200, of: 0, at: Self.at(0), ttl: Self.ttl)
        #expect(life.holdsBackClaims(withValidLease: false, at: Self.at(0)) == .seconds(60))
        #expect(life.holdsBackClaims(withValidLease: true, at: Self.at(0)) == nil)
        #expect(life.holdsBackClaims(withValidLease: false, at: Self.at(60)) == nil)
    }

    /// An election is no other life: what was on its way is of the term before.
    @Test func anAnswerOfTheTermInWhichItWasAskedIsKnown() {
        var life = StoreLife(Self.mark)
        let floor = life.floor
        #expect(Self.hear(StoreHeader(clusterID: "a", raftTerm: 5, revision: 101), at: 0, &life) == .known)
        let late = StoreHeader(clusterID: "a", raftTerm: 4, revision: 101)
        #expect(life.learn(late, floor: floor, at: Self.at(1), ttl: Self.ttl) == .known)
        #expect(life.highestTerm == 5)
        #expect(Self.isStale(life.learn(late, floor: nil, at: Self.at(1), ttl: Self.ttl)))
        #expect(Self.hear(StoreHeader(clusterID: "a", raftTerm: 5, revision: 102), at: 2, &life) == .known)
        #expect(life.number == 0)
        #expect(life.unsettled(at: Self.at(2)) == nil)
        #expect(Self.isStale(Self.hear(late, at: 3, &life)), "asked in the later term")
    }

    /// Its floor is no measure for the life that has begun meanwhile.
    @Test func anAnswerToWhatWasAskedInTheFormerLifeSaysNothing() {
        var life = StoreLife(Self.mark)
        let floor = life.floor
        let other = StoreHeader(clusterID: "b", raftTerm: 2, revision: 5)
        _ = life.learn(other, floor: floor, at: Self.at(0), ttl: Self.ttl)
        _ = life.learn(other, floor: floor, at: Self.at(60), ttl: Self.ttl)
        #expect(life.number == 1)
        let late = life.learn(
            StoreHeader(clusterID: "b", raftTerm: 2, revision: 6), floor: floor, at: Self.at(61), ttl: Self.ttl)
        #expect(Self.isStale(late))
        #expect(life.number == 1)
        #expect(life.floor.revision == 5)
    }

    // MARK: As a file

    @Test func whatIsWrittenIsRead() { #expect(StoreMark(Self.mark.text) == Self.mark) }

    @Test func aMarkIsOvertakenByAnotherLifeAndAnotherLeader() {
        func isOvertaken(_ change: (inout StoreMark) -> Void) -> Bool {
            var other = Self.mark
            change(&other)
            return Self.mark.isOvertaken(by: other)
        }
        #expect(isOvertaken { $0.clusterID = "b" })
        #expect(isOvertaken { $0.term = 5 })
        #expect(isOvertaken { $0.leader = 101 })
        #expect(!isOvertaken { $0.revision = 101 })
        #expect(!isOvertaken { $0.ttl = Self.ttl })
        #expect(!isOvertaken { ($0.leader, $0.isUnsettled) = (80, true) }, "it tells the next daemon to wait as well")
    }

    /// A scope that was renamed has a leader key of its own.
    @Test func theLeaderCountsWhereItsKeyIsTheSame() {
        var mark = Self.mark
        #expect(mark.telling(of: "/service/x/").leader == 90, "it was not said")
        mark.prefix = "/service/a b/"
        #expect(StoreMark(mark.text) == mark)
        #expect(mark.telling(of: "/service/a b/") == mark)
        #expect(mark.telling(of: "/service/x/").leader == 0)
        #expect(mark.telling(of: "/service/x/").prefix == "/service/x/")
    }

    @Test(arguments: [
        "", "cluster a", "cluster a\nterm 0\nrevision 1\nttl 30000\n", "cluster a\nterm 2\nrevision -1\nttl 30000\n",
        "cluster a\nterm 2\nrevision 1\nttl 0\n", "cluster a\nterm 2\nrevision 1\nttl 99999999999\n",
        "cluster a\nterm 2\nrevision 1\nttl 30000\nnonsense\n", "cluster a\nterm two\nrevision 1\nttl 30000\n",
    ])
    func whatIsNoMarkIsNone(_ text: String) { #expect(StoreMark(text) == nil) }

    @Test func aMarkOfALaterVersionIsRead() {
        let text = "cluster a\nterm 2\nrevision 1\nttl 30000\nmore of it\n"
        #expect(StoreMark(text) == StoreMark(clusterID: "a", term: 2, revision: 1, ttl: .seconds(30)))
    }

    @Test func itIsWrittenWhenSomethingIsNewAndNowAndThen() {
        var pace = StoreMarkPace()
        var mark = Self.mark
        func isDue(_ seconds: Int) -> Bool { pace.isDue(mark, at: Self.at(seconds)) }
        #expect(isDue(0))
        #expect(!isDue(100), "nothing is new")
        mark.revision += 1
        #expect(isDue(100))
        mark.revision += 1
        #expect(!isDue(159), "the revision moves all the time")
        #expect(isDue(160))
        mark.leader += 1
        #expect(isDue(161), "somebody else leads")
        pace = StoreMarkPace(found: mark)
        #expect(!isDue(0), "it stands there already")
    }
}

import ClusterModel
import HighAvailability
import Ports
import Testing

@testable import Node

/// The parts of the machine, each by itself.
@Suite struct PartsTests {
    struct LifeRow: Sendable {
        let what: String
        let lived: @Sendable (inout Life) -> Void
        let expected: Life
    }

    static let lives = [
        LifeRow(what: "who is asked to leave leaves", lived: { $0.leave() }, expected: .leaving),
        LifeRow(
            what: "a shutdown is more than leaving",
            lived: {
                $0.leave()
                $0.shutDown()
            }, expected: .shuttingDown(code: 0)),
        LifeRow(
            what: "who shuts down does not leave instead",
            lived: {
                $0.shutDown()
                $0.leave()
            }, expected: .shuttingDown(code: 0)),
        LifeRow(
            what: "a failure stays one",
            lived: {
                $0.shutDown(code: 1)
                $0.shutDown()
                $0.end()
            }, expected: .ended(code: 1)),
        LifeRow(
            what: "nobody lives twice",
            lived: {
                $0.end(code: 1)
                $0.shutDown()
                $0.leave()
                $0.end()
            }, expected: .ended(code: 1)),
    ]

    @Test(arguments: lives)
    func life(row: LifeRow) {
        var life = Life.running
        row.lived(&life)
        #expect(life == row.expected, "\(row.what)")
        #expect(life.exitCode == (row.expected == .ended(code: 1) ? 1 : 0))
    }

    private let now = BootInstant(nanoseconds: 1_000_000_000_000)

    @Test func aLeaseThatTheGuardianAloneVouchesFor() {
        var tenure = Tenure(
            inherited: Lease(since: now, ttl: .seconds(30)), failsafe: FailsafeStanding(began: now))
        #expect(tenure.isUnproven)
        let isCovered = tenure.renews(ttl: .seconds(30), at: now + .seconds(1))
        #expect(isCovered && tenure.isRenewing)
        tenure.renewalAnswered()
        #expect(!tenure.isUnproven && !tenure.isRenewing && tenure.lease != nil)
        tenure.ends()
        let isCoveredStill = tenure.renews(ttl: .seconds(30), at: now)
        #expect(!isCoveredStill)
    }

    /// It counts from the renewal's sending, and the old one covers that moment still.
    @Test func aShorterTTLHoldsFromTheRenewalOn() {
        var tenure = Tenure(inherited: nil, failsafe: FailsafeStanding(began: BootInstant(nanoseconds: 0)))
        tenure.holds(since: now, ttl: .seconds(30), session: "s")
        let sent = now + .seconds(10)
        let isCovered = tenure.renews(ttl: .seconds(5), at: sent)
        #expect(isCovered)
        #expect(tenure.lease == Lease(since: now, ttl: .seconds(30), session: "s").shortened(to: .seconds(5), at: sent))
        let isCoveredLater = tenure.renews(ttl: .seconds(5), at: now + .seconds(31))
        #expect(!isCoveredLater)
    }

    @Test func commandsWaitInTurnAndAreAnsweredOnce() {
        var commands = Commands()
        let waits = (0...Commands.most).map { commands.wait($0, .cancelRestart) }
        #expect(waits == Array(repeating: true, count: Commands.most) + [false])
        let first = commands.next()
        let hasRoom = commands.wait(99, .cancelRestart)
        #expect(first?.id == 0 && hasRoom)
        while commands.next() != nil {}
        commands.finish(7, .done)
        let finished = [commands.takeFinished(), commands.takeFinished()]
        #expect(finished.map { $0.map(\.id) } == [[7], []])
    }

    @Test func aCycleAsksSoOftenAndNoMore() {
        var cycle = Cycle(at: now)
        let asked = (0...Cycle.mostQuestions).map { _ in cycle.mayAsk() }
        #expect(asked == Array(repeating: true, count: Cycle.mostQuestions) + [false])
    }

    @Test func whatIsSeen() {
        var sight = Sight(now: now)
        sight.planEnded = now + .seconds(2)
        #expect(!sight.hasObserved && !sight.isCurrent && sight.isFresh(since: now))
        func status(after seconds: Int64) -> PostgreSQLStatus {
            PostgreSQLStatus(
                dataDirectory: .initialized, state: .running, postmaster: Int32(seconds),
                observedAt: now + .seconds(seconds))
        }
        sight.see(status(after: 3))
        sight.see(status(after: 1))
        #expect(sight.local.postmaster == 3 && sight.isCurrent && sight.hasObserved)
        sight.assumeStopped(at: now + .seconds(5))
        sight.see(status(after: 4))
        #expect(sight.local.postmaster == nil, "what was seen before the stop says nothing of it")
    }

    /// What this node has written stands in its views though they be older; but not in those of a store that has lost
    /// it, and counts from lower on.
    @Test(arguments: [(1, ["n2"]), (29, ["n2"]), (30, [])] as [(Int64, [String])])
    func aStoreOfAnotherLifeKnowsNothingOfOurWrite(_ seconds: Int64, _ voters: [String]) {
        var sight = Sight(now: now)
        sight.wrote(SyncState(leader: "n1", voters: ["n2"]), at: 1000, at: now)
        sight.storeBeganAnew(ttl: .seconds(30), at: now + .seconds(seconds))
        _ = sight.see(ClusterView(revision: 12), isMine: true, asked: now + .seconds(seconds), wallTime: 0)
        #expect(sight.view?.sync.voters == voters)
    }

    @Test func aStoreThatAnswersAgainIsNews() {
        var sight = Sight(now: now)
        sight.storeIsSilent("no endpoint answers")
        #expect(sight.storeFailure != nil && sight.view == nil)
        let news = (0..<2).map { _ in sight.see(ClusterView(), isMine: false, asked: now, wallTime: 7_500_000_000) }
        #expect(news == [true, false])
        #expect(sight.storeFailure == nil && sight.viewAt == now && sight.storeLastSeen == 7)
    }

    /// A promotion that an earlier daemon may have asked for, and what shows that none is pending.
    @Test func whatAnEarlierDaemonMayHaveAskedFor() {
        func standby(_ postmaster: Int32?, after seconds: Int64) -> PostgreSQLStatus {
            PostgreSQLStatus(
                dataDirectory: .initialized, state: .running, postmaster: postmaster, readiness: .accepting,
                facts: postmaster.map { _ in .init(inRecovery: true, timeline: 1) }, hasStandbySignal: true,
                observedAt: now + .seconds(seconds))
        }
        // The guardian's lease tells of the postmaster that was there, and of no other one.
        var sight = Sight(now: now, inheritsLease: true)
        sight.see(standby(7, after: 1))
        #expect(sight.local.isPromoting)
        sight.see(standby(7, after: 100))
        #expect(sight.local.isPromoting)
        sight.see(standby(8, after: 101))
        #expect(!sight.local.isPromoting)
        // What is started later nobody has asked before.
        sight = Sight(now: now, inheritsLease: true)
        sight.see(standby(nil, after: 1))
        sight.see(standby(7, after: 2))
        #expect(!sight.local.isPromoting)
        // Nor where this daemon has made the directory that it is in.
        sight = Sight(now: now, inheritsLease: true)
        sight.see(PostgreSQLStatus(dataDirectory: .empty, state: .stopped, observedAt: now + .seconds(1)))
        sight.hasMadeDirectory()
        sight.see(standby(7, after: 2))
        #expect(!sight.local.isPromoting)
        // The key alone tells so for a minute.
        sight = Sight(now: now)
        sight.see(standby(7, after: 1))
        #expect(!sight.local.isPromoting)
        _ = sight.see(ClusterView(), isMine: true, asked: now + .seconds(1), wallTime: 0)
        #expect(sight.local.isPromoting)
        sight.see(standby(7, after: 62))
        #expect(!sight.local.isPromoting)
        // The leader of a standby cluster is never promoted.
        sight = Sight(now: now, inheritsLease: true)
        sight.see(standby(7, after: 1))
        sight.seesStandbyCluster()
        #expect(!sight.local.isPromoting)
        sight.see(standby(7, after: 2))
        #expect(!sight.local.isPromoting)
    }

    @Test func choresAreBegunOnce() {
        var chores = Chores()
        #expect(Chore.allCases.allSatisfy { chores[$0] == .idle })
        chores.want(.checkpoint)
        #expect(chores[.checkpoint] == .wanted)
        chores.begin(.checkpoint)
        #expect(chores[.checkpoint] == .running && chores[.touch] == .idle)
        chores.end(.checkpoint)
        #expect(chores[.checkpoint] == .idle)
    }

    /// What only a leader may write is written by nobody who is in the middle of a plan, or without the store.
    @Test(arguments: Chore.allCases)
    func whatChoresNeed(chore: Chore) {
        if chore.needs.leading != .whatever { #expect(chore.needs.store && chore.needs.noPlan == .none) }
    }
}

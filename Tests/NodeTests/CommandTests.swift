import ClusterModel
import HighAvailability
import Ports
import Testing

@testable import Node

/// Operators' commands in the machine: when they are carried out, and what they are answered with.
@Suite struct CommandTests {
    static let start = BootInstant(nanoseconds: 1_000_000_000_000)
    /// 2031-01-01T00:00:00Z.
    static let wall: Int64 = 1_924_992_000_000_000_000

    /// A machine between two cycles: a standby `n1` of the leader `n2`.
    struct Bed {
        var machine = CycleMachine(
            CycleMachine.Setup(
                scope: "test", me: NodeIdentity(name: "n1", tags: Tags(["nofailover": true])),
                addresses: MemberKey.Addresses(
                    connectionURL: "postgres://a:1/p", apiURL: "http://a:2/patroni", version: "4.1.5"),
                document: ["ttl": 30]), now: CommandTests.start)
        var now = CommandTests.start
        var wall = CommandTests.wall

        mutating func step(_ event: CycleEvent) -> [CycleEffect] {
            now = now + .milliseconds(10)
            return machine.step(event, now: now, wallTime: wall)
        }

        func status(_ startTime: String = "A") -> PostgreSQLStatus {
            PostgreSQLStatus(
                dataDirectory: .initialized, state: .running, postmaster: 100, readiness: .accepting,
                facts: .init(
                    inRecovery: true, timeline: 1, receivedPosition: WALPosition(5), replayedPosition: WALPosition(5),
                    receiver: .init(isStreaming: true, host: "b", port: 1), postmasterStartTime: startTime),
                systemIdentifier: "7400000000000000001", hasStandbySignal: true, observedAt: now)
        }

        /// Down, as its standby's files have it.
        func stopped() -> PostgreSQLStatus {
            var status = status()
            status.postmaster = nil
            status.readiness = .down
            status.facts = nil
            return status
        }

        /// Ends the stop of a restart, and shows what it has stopped.
        mutating func restartStops() -> [CycleEffect] {
            guard let plan = machine.progress?.number else { return [] }
            return step(.node(.performed(plan: plan, .success(.done)))) + step(.node(.observed(stopped())))
        }

        func view(leader: String? = "n2") -> ClusterView {
            ClusterView(
                revision: 10, initialize: .value("7400000000000000001"),
                config: ConfigRecord(data: ["ttl": 30], revision: 3),
                leader: leader.map { LeaderRecord(name: $0, session: "s", revision: 4) },
                members: [
                    Member(
                        name: "n2",
                        data: ["conn_url": "postgres://b:1/p", "api_url": "http://b:2/patroni", "state": "running"])
                ])
        }

        /// Ends whatever the machine is in the middle of; gives what it wants done then.
        mutating func settle(leader: String? = "n2", startTime: String = "A") -> [CycleEffect] {
            var all: [CycleEffect] = []
            for _ in 0..<20 where machine.stage != nil || machine.progress != nil {
                if case .observing(let local, let store)? = machine.stage {
                    if !local { all += step(.node(.observed(status(startTime)))) }
                    if !store { all += step(.store(.loaded(.success(view(leader: leader))))) }
                } else if let plan = machine.progress?.number, case .postgreSQL? = machine.currentStep {
                    all += step(.node(.performed(plan: plan, .success(.done))))
                } else if case .start? = machine.currentStep {
                    all += step(.node(.observed(stopped())))
                } else if machine.stage == .asking {
                    all += step(.peers(.decision, [:]))
                }
            }
            return all
        }

        static func ready() -> Bed {
            var bed = Bed()
            _ = bed.step(.timer)
            _ = bed.settle()
            _ = bed.step(.store(.touched(.success(()))))
            return bed
        }
    }

    private func replies(_ effects: [CycleEffect]) -> [Int: CommandOutcome] {
        var found: [Int: CommandOutcome] = [:]
        for case .local(.reply(let id, let outcome)) in effects { found[id] = outcome }
        return found
    }

    private func operations(_ effects: [CycleEffect]) -> [String] {
        effects.compactMap { if case .node(.perform(let operation, _, _)) = $0 { operation.name } else { nil } }
    }

    private func request(_ body: JSONObject = [:]) throws -> RestartRequest {
        try RestartRequest(body: body, DynamicConfiguration(), wallTime: Self.wall)
    }

    @Test func aRestartIsAnsweredWhenItIsDone() throws {
        var bed = Bed.ready()
        let begun = bed.step(.commanded(1, .restart(try request())))
        #expect(operations(begun) == ["restart"] && replies(begun).isEmpty)
        #expect(operations(bed.restartStops()) == ["starting as a standby"])
        let plan = try #require(bed.machine.progress?.number)
        // Not before PostgreSQL was looked at again: who asks then is told what came of it.
        let done = bed.step(.node(.performed(plan: plan, .success(.done))))
        #expect(replies(done).isEmpty)
        #expect(replies(bed.settle()) == [1: .done])
    }

    /// A parted directory that is kept, or one that is not whole, is not started by an operator's restart either.
    @Test(arguments: [PostgreSQLStatus.UnfinishedWork?.none, .rewind])
    func whatIsKeptIsNotStartedByARestart(_ unfinished: PostgreSQLStatus.UnfinishedWork?) throws {
        var bed = Bed.ready()
        if unfinished == nil { bed.machine.memory.kept = .rewindFailed }
        var local = bed.machine.local
        local.unfinished = unfinished
        local.postmaster = nil
        local.facts = nil
        bed.machine.sight.see(local)
        let effects = bed.step(.commanded(1, try .restart(request())))
        #expect(effects.contains { if case .local(.reply(1, .failed)) = $0 { true } else { false } })
        #expect(!effects.contains { if case .node(.perform) = $0 { true } else { false } })
    }

    @Test(arguments: [
        (Result<OperationResult, PostgreSQLError>.success(.stillStarting), CommandOutcome.stillStarting),
        (.failure(.failed("no")), .failed),
    ])
    func aRestartThatEndsOtherwise(_ result: Result<OperationResult, PostgreSQLError>, _ outcome: CommandOutcome) throws
    {
        var bed = Bed.ready()
        _ = bed.step(.commanded(1, .restart(try request())))
        _ = bed.restartStops()
        let plan = try #require(bed.machine.progress?.number)
        #expect(replies(bed.step(.node(.performed(plan: plan, result))) + bed.settle()) == [1: outcome])
    }

    /// It counts for the failover, too, until the server runs again (rest-api.md §13).
    @Test func aRestartsTimeoutCountsUntilTheServerRuns() throws {
        var bed = Bed.ready()
        _ = bed.step(.commanded(1, .restart(try request(["timeout": 20]))))
        _ = bed.restartStops()
        #expect(bed.machine.memory.askedPatience == .seconds(20))
        let plan = try #require(bed.machine.progress?.number)
        _ = bed.step(.node(.performed(plan: plan, .success(.done)))) + bed.settle()
        _ = bed.step(.woken("test")) + bed.settle()
        #expect(bed.machine.memory.askedPatience == nil)
        _ = bed.step(.commanded(2, .restart(try request())))
        #expect(bed.machine.memory.askedPatience == nil)
    }

    @Test func conditionsAndAPlanUnderWayRefuseARestart() throws {
        var bed = Bed.ready()
        let refused = bed.step(.commanded(1, .restart(try request(["role": "primary"]))))
        #expect(replies(refused) == [1: .conditionsNotMet] && operations(refused).isEmpty)
        _ = bed.step(.commanded(2, .restart(try request())))
        #expect(replies(bed.step(.commanded(3, .restart(try request())))) == [3: .busy("restart")])
    }

    @Test func aCommandWaitsForTheCycleUnderWay() throws {
        var bed = Bed.ready()
        _ = bed.step(.woken("test"))
        let early = bed.step(.commanded(1, .restart(try request())))
        #expect(operations(early).isEmpty && replies(early).isEmpty)
        let later = bed.settle()
        #expect(operations(later).contains("restart") && replies(later) == [1: .done])
    }

    @Test func whatWaitsIsBounded() throws {
        var bed = Bed.ready()
        _ = bed.step(.woken("test"))
        for id in 0..<Commands.most { _ = bed.step(.commanded(id, .cancelRestart)) }
        #expect(replies(bed.step(.commanded(99, .cancelRestart))) == [99: .busy("another command")])
        #expect(replies(bed.settle()).count == Commands.most)
    }

    @Test func nobodyWaitsForANodeThatHasEnded() throws {
        var bed = Bed.ready()
        _ = bed.step(.commanded(1, .restart(try request())))
        // The shutdown breaks the restart off; when both have ended, everybody has an answer.
        var effects = bed.step(.shutdownRequested)
        for _ in 0..<8 where !bed.machine.life.hasEnded {
            if let plan = bed.machine.progress?.number {
                effects += bed.step(.node(.performed(plan: plan, .success(.done))))
            }
        }
        #expect(bed.machine.life.hasEnded)
        #expect(replies(effects) == [1: .failed])
        #expect(replies(bed.step(.commanded(2, .cancelRestart))) == [2: .failed])
    }

    // MARK: Schedules

    @Test func aScheduledRestartHappensAtItsTime() throws {
        var bed = Bed.ready()
        let later = try request(["schedule": "2031-01-01T00:00:20Z"])
        #expect(replies(bed.step(.commanded(1, .restart(later)))) == [1: .done])
        let touched = bed.settle()
        let shown = touched.compactMap { effect -> JSONValue? in
            if case .store(.touch(let value, _, _), _) = effect { value["scheduled_restart"] } else { nil }
        }
        _ = bed.step(.store(.touched(.success(()))))
        #expect(shown.last == ["schedule": "2031-01-01T00:00:20+00:00", "postmaster_start_time": "A"])
        #expect(bed.machine.snapshot().scheduledRestart != nil)
        #expect(replies(bed.step(.commanded(2, .restart(later)))) == [2: .alreadyScheduled])
        // The timer is set for it, though the next cycle is due earlier or later.
        bed.wall += 20_000_000_000
        bed.now = bed.now + .seconds(20)
        var effects = bed.step(.timer)
        effects += bed.settle()
        #expect(operations(effects) == ["restart", "starting as a standby"])
        #expect(bed.machine.snapshot().scheduledRestart == nil)
    }

    /// Nor while nobody leads: it is kept until its time is past (ha-loop.md §21.3).
    @Test(arguments: [false, true]) func aScheduledRestartWaitsForALeader(_ isLate: Bool) throws {
        var bed = Bed.ready()
        _ = bed.step(.commanded(1, .restart(try request(["schedule": "2031-01-01T00:00:20Z"]))))
        _ = bed.settle()
        _ = bed.step(.store(.touched(.success(()))))
        bed.wall += 20_000_000_000
        bed.now = bed.now + .seconds(20)
        // What is due is looked at with the view of before: the silence of the store counts first.
        bed.machine.sight.storeIsSilent("no answer")
        var effects = bed.step(.timer) + bed.settle(leader: nil)
        #expect(operations(effects).isEmpty && bed.machine.commands.scheduledRestart != nil)
        #expect(bed.machine.scheduleDue(.init(now: bed.now, wallTime: bed.wall, writesLog: false)) == nil)
        bed.wall += isLate ? 60_000_000_000 : 5_000_000_000
        bed.now = bed.now + .seconds(5)
        effects = bed.step(.woken("test")) + bed.settle() + bed.step(.timer) + bed.settle()
        #expect(operations(effects) == (isLate ? [] : ["restart", "starting as a standby"]))
        #expect(bed.machine.commands.scheduledRestart == nil)
    }

    @Test func aScheduleIsForgottenOnDemandAndWhenTheServerIsAnother() throws {
        var bed = Bed.ready()
        let later = try request(["schedule": "2031-01-01T01:00:00Z"])
        #expect(replies(bed.step(.commanded(1, .cancelRestart))) == [1: .nothingScheduled])
        _ = bed.step(.commanded(2, .restart(later)))
        _ = bed.settle()
        #expect(replies(bed.step(.commanded(3, .cancelRestart))) == [3: .done])
        #expect(bed.machine.commands.scheduledRestart == nil)
        _ = bed.settle()
        _ = bed.step(.commanded(4, .restart(later)))
        _ = bed.settle()
        _ = bed.step(.woken("test"))
        _ = bed.settle(startTime: "B")
        #expect(bed.machine.commands.scheduledRestart == nil)
    }

    @Test(arguments: [
        ("2031-01-01 00:00:00+00:00", "2031-01-01 02:00:00+02:00", true),
        ("2031-01-01 00:00:00+00:00", "2031-01-01 00:00:01+00:00", false), ("A", "B", false),
    ])
    func aServerIsTheSameInAnotherTimeZone(_ scheduled: String, _ seen: String, _ isSame: Bool) throws {
        var later = try request(["schedule": "2031-01-01T01:00:00Z"])
        later.postmasterStartTime = scheduled
        let verdict = judge(
            schedule: later, DynamicConfiguration(), Bed().status(seen), wallTime: Self.wall)
        #expect((verdict == .wait) == isSame)
    }

    // MARK: A new base backup

    @Test func aNewBaseBackup() throws {
        var bed = Bed.ready()
        var effects = bed.step(.commanded(1, .reinitialize(force: false, fromLeader: false)))
        #expect(replies(effects) == [1: .done])
        effects += bed.settle()
        #expect(operations(effects) == ["stop", "creating replica", "starting as a standby"])
    }

    @Test func withoutALeaderThereIsNothingToCopy() throws {
        var bed = Bed.ready()
        _ = bed.step(.woken("test"))
        _ = bed.step(.commanded(1, .reinitialize(force: true, fromLeader: false)))
        let effects = bed.settle(leader: nil)
        #expect(replies(effects) == [1: .noLeader] && operations(effects).isEmpty)
    }

    @Test func forceBreaksOffWhatRuns() throws {
        var bed = Bed.ready()
        _ = bed.step(.commanded(1, .restart(try request())))
        _ = bed.settleCycleOnly()
        let polite = bed.step(.commanded(2, .reinitialize(force: false, fromLeader: false)))
        #expect(replies(polite) == [2: .busy("restart")])
        let forced = bed.step(.commanded(3, .reinitialize(force: true, fromLeader: true)))
        #expect(replies(forced) == [3: .done])
        #expect(forced.contains { if case .node(.breakOff) = $0 { true } else { false } })
        let plan = try #require(bed.machine.progress?.number)
        let next = bed.step(.node(.performed(plan: plan, .failure(.cancelled))))
        #expect(replies(next) == [1: .failed] && operations(next) == ["stop"])
    }
}

extension CommandTests.Bed {
    /// Ends a cycle and leaves a plan alone.
    mutating func settleCycleOnly() -> [CycleEffect] {
        var all: [CycleEffect] = []
        for _ in 0..<10 {
            guard case .observing(let local, let store)? = machine.stage else { break }
            if !local { all += step(.node(.observed(status()))) }
            if !store { all += step(.store(.loaded(.success(view())))) }
        }
        return all
    }
}

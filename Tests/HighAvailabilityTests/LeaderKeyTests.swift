import ClusterModel
import HighAvailability
import Testing

/// S1: nobody gives the leader key away, for no reason, while a postmaster of ours that may accept writes may live.
@Suite struct LeaderKeyTests {
    static let foreign = Scene.view(leader: "n1", initialize: .value("7499999999999999999"))

    /// `status` with another directory under the same server.
    static func with(_ directory: PostgreSQLStatus.DataDirectory, _ status: PostgreSQLStatus) -> PostgreSQLStatus {
        var status = status
        status.dataDirectory = directory
        status.hasStandbySignal = false
        if directory != .initialized { status.systemIdentifier = nil }
        return status
    }

    /// Runs and says nothing.
    static let silent = PostgreSQLStatus(
        dataDirectory: .initialized, state: .running, postmaster: 100, readiness: .rejecting,
        systemIdentifier: Scene.identifier, observedAt: Scene.now)

    /// Its postmaster is there, and the proof that it accepts no writes.
    static func finished(_ how: PostgreSQLStatus.Finish) -> PostgreSQLStatus {
        var status = silent
        status.finish = how
        return status
    }

    /// A standby whose promotion was asked for, and did not come in time.
    static var promoting: PostgreSQLStatus {
        var status = Scene.standby()
        status.promotionWasAsked = true
        return status
    }

    static var nameless: PostgreSQLStatus {
        var status = Scene.stopped()
        status.systemIdentifier = nil
        status.control = nil
        return status
    }

    static var namelessRunning: PostgreSQLStatus {
        var status = silent
        status.systemIdentifier = nil
        return status
    }

    /// `pg_controldata` was late, or is being replaced.
    static var unnamedPrimary: PostgreSQLStatus {
        var status = Scene.primary()
        status.systemIdentifier = nil
        return status
    }

    static let ended = Row.Expectation.action(
        .carryOut(Plan(.demote, [.postgreSQL(.stop(.immediate, timeout: .seconds(5))), .releaseLeader])))
    static let lost = Row.Expectation.action(
        .carryOut(Plan(.demote, [.postgreSQL(.stop(.immediate, timeout: .seconds(5)))])))

    static var led: Memory {
        var memory = Memory()
        memory.lastLeader = "n1"
        return memory
    }

    static var calledOff: Memory {
        var memory = led
        memory.callsOff(FailoverRequest(leader: "n1", candidate: nil, revision: 7), because: "nobody has everything")
        return memory
    }

    static let killed = Row.Expectation.action(
        .carryOut(Plan(.demote, [.postgreSQL(.stop(.byForce, timeout: .seconds(5)))])))

    /// The disk has not answered since the daemon started, so long ago; a postmaster is known, or none.
    static func unseen(_ postmaster: Int32?, for age: Duration = .seconds(4)) -> PostgreSQLStatus {
        PostgreSQLStatus(
            dataDirectory: .unseen("it hangs"), state: .starting, postmaster: postmaster,
            readiness: postmaster == nil ? .down : .rejecting, observedAt: Scene.now - age)
    }

    static var unseenStandby: PostgreSQLStatus {
        var status = unseen(100, for: .seconds(20))
        status.hasStandbySignal = true
        return status
    }

    static var seenBefore: Memory {
        var (memory, seen) = (Memory(), Scene.seen(Scene.view(leader: "n2"), Scene.standby()))
        seen.now = Scene.now - .seconds(20)
        _ = decide(seen, &memory)
        return memory
    }

    static let led1 = led1With(TimelineHistory())

    static func led1With(_ history: TimelineHistory) -> ClusterView {
        Scene.view(leader: "n1", members: [Scene.member("n1"), Scene.member("n2")], history: history)
    }

    /// The very first look at the data directory hangs: what may accept writes is taken to do so.
    static let unseenRows: [Row] = [
        Row(
            description: "a leader whose disk has not answered yet renews before anything else",
            seen: Scene.seen(led1, unseen(100), lease: Scene.lease()), expected: .action(.ask(.renewal)),
            because: ["data-directory-inaccessible"]),
        Row(
            description: "under the lease it goes on",
            seen: Scene.seen(led1, unseen(100), lease: Scene.lease(), renewal: .held), expected: .action(.wait),
            because: ["data-directory-inaccessible"]),
        Row(
            description: "refused, it is ended by force",
            seen: Scene.seen(led1, unseen(100), renewal: .refused), expected: killed,
            because: ["data-directory-inaccessible", "primary-without-lease"]),
        Row(
            description: "without the lease, too",
            seen: Scene.seen(Scene.view(leader: "n2"), unseen(100)), expected: killed,
            because: ["data-directory-inaccessible", "primary-without-lease"]),
        Row(
            description: "and where nobody leads, who comes next must not meet it",
            seen: Scene.seen(Scene.view(leader: nil), unseen(100)), expected: killed,
            because: ["data-directory-inaccessible", "primary-without-lease"]),
        Row(
            description: "at once, also after an operation that has just ended",
            seen: Scene.seen(Scene.view(leader: nil), unseen(100, for: .seconds(4))), memory: seenBefore,
            expected: killed, because: ["data-directory-inaccessible", "primary-without-lease"]),
        Row(
            description: "what is known to be a standby goes on",
            seen: Scene.seen(Scene.view(leader: "n2"), unseenStandby), memory: seenBefore, expected: .action(.wait),
            because: ["data-directory-inaccessible"]),
        Row(
            description: "in pause it is its operator's",
            seen: Scene.seen(Scene.view(leader: "n2"), unseen(100), settings: ["pause": true]),
            expected: .action(.wait), because: ["data-directory-inaccessible", "primary-without-lease", "paused"]),
        Row(
            description: "after three ttl of silence somebody else leads, once it has ended",
            seen: Scene.seen(
                led1, unseen(100, for: .seconds(91)), lease: Scene.lease(), renewal: .held,
                peers: ["n2": Scene.peer(1000)]),
            expected: .action(.carryOut(giveUpKeyPlan(.byForce))),
            because: ["silent-observation", "still-accepts-writes"]),
        Row(
            description: "where no server runs, the key goes",
            seen: Scene.seen(led1, unseen(nil), lease: Scene.lease()), expected: .action(.wait),
            because: ["data-directory-inaccessible"]),
        Row(
            description: "and nothing is made of a directory that was not seen",
            seen: Scene.seen(Scene.view(leader: "n2"), unseen(nil)), expected: .action(.wait),
            because: ["data-directory-inaccessible"]),
    ]

    /// One look at a directory may fail for a moment.
    static let doubtfulRows: [Row] = [
        Row(
            description: "the first look that finds nothing costs no leadership",
            seen: Scene.seen(led1, with(.empty, Scene.primary()), lease: Scene.lease()),
            expected: .action(.ask(.renewal)), because: ["data-directory-empty", "looked-at-once-more"]),
        Row(
            description: "nor the first that fails",
            seen: Scene.seen(
                led1, with(.inaccessible("ESTALE"), Scene.primary()), lease: Scene.lease(), renewal: .held),
            expected: .action(.wait), because: ["data-directory-inaccessible", "looked-at-once-more"]),
        Row(
            description: "whoever is refused meanwhile ends it at once",
            seen: Scene.seen(led1, with(.empty, Scene.primary()), renewal: .refused), expected: ended,
            because: ["data-directory-empty", "still-accepts-writes"]),
        Row(
            description: "and a disk that does not answer any more is not waited for",
            seen: Scene.seen(
                led1, unlooked, lease: Scene.lease(), renewal: .held, peers: ["n2": Scene.peer(1000)]),
            expected: ended, because: ["data-directory-inaccessible", "still-accepts-writes"]),
    ]

    static var unlooked: PostgreSQLStatus {
        var status = with(.inaccessible("I/O error"), Scene.primary())
        status.observedAt = Scene.now - .seconds(91)
        return status
    }

    static var troubled: Memory {
        var memory = Memory()
        memory.directoryTrouble = .init(first: Scene.now - .seconds(1), last: Scene.now - .seconds(1))
        return memory
    }

    static let rows: [Row] = [
        Row(
            description: "the directory of a running primary is gone: it is ended, then the key goes",
            seen: Scene.seen(Scene.view(leader: "n1"), with(.empty, Scene.primary())), memory: troubled,
            expected: ended,
            because: ["data-directory-empty", "still-accepts-writes"]),
        Row(
            description: "also where it does not answer any more",
            seen: Scene.seen(Scene.view(leader: "n1"), with(.empty, silent)), memory: troubled, expected: ended,
            because: ["data-directory-empty", "still-accepts-writes"]),
        Row(
            description: "the directory of a running primary cannot be read",
            seen: Scene.seen(Scene.view(leader: "n1"), with(.inaccessible("I/O error"), Scene.primary())),
            memory: troubled, expected: ended, because: ["data-directory-inaccessible", "still-accepts-writes"]),
        Row(
            description: "no identifier can be read of a directory that is left by halves: the key does not stay",
            seen: Scene.seen(Scene.view(leader: "n1"), nameless), expected: ended,
            because: ["system-identifier-invalid", "sessions-may-go-on"]),
        Row(
            description: "nor is anything ended for it in pause",
            seen: Scene.seen(Scene.view(leader: "n1"), nameless, settings: ["pause": true]),
            expected: .action(.releaseLeader), because: ["system-identifier-invalid"]),
        Row(
            description: "nor with a server that runs there still",
            seen: Scene.seen(Scene.view(leader: "n1"), namelessRunning), expected: ended,
            because: ["system-identifier-invalid", "still-accepts-writes"]),
        Row(
            description: "an identifier that was not read ends no primary that answers",
            seen: Scene.seen(Scene.view(leader: "n1"), unnamedPrimary, lease: Scene.lease(), renewal: .held),
            expected: .action(.wait), because: ["holding-lease"]),
        Row(
            description: "nor does it leave one to write where another leads",
            seen: Scene.seen(Scene.view(leader: "n2"), unnamedPrimary), expected: .plan(.demote),
            because: ["leader-key-held-by", "primary-without-lease"]),
        Row(
            description: "somebody has put another identifier into /initialize",
            seen: Scene.seen(foreign, Scene.primary(), lease: Scene.lease()), expected: ended,
            because: ["system-identifier-mismatch", "still-accepts-writes"]),
        Row(
            description: "a promotion that was asked for may still come: it is ended first",
            seen: Scene.seen(foreign, promoting), expected: LeaderKeyTests.ended,
            because: ["system-identifier-mismatch", "still-accepts-writes"]),
        Row(
            description: "with PostgreSQL crashed its last sessions end first",
            seen: Scene.seen(foreign, Scene.stopped()), expected: LeaderKeyTests.ended,
            because: ["system-identifier-mismatch", "sessions-may-go-on"]),
        Row(
            description: "in pause the key stays with a PostgreSQL that accepts writes, and is renewed",
            seen: Scene.seen(foreign, Scene.primary(), lease: Scene.lease(), settings: ["pause": true]),
            expected: .action(.ask(.renewal)),
            because: ["system-identifier-mismatch", "paused", "still-accepts-writes"]),
        Row(
            description: "in pause nothing is ended",
            seen: Scene.seen(
                Scene.view(leader: "n1"), with(.empty, Scene.primary()), lease: Scene.lease(), renewal: .held,
                settings: ["pause": true]), memory: troubled, expected: .action(.wait),
            because: ["data-directory-empty", "paused", "still-accepts-writes"]),
        Row(
            description: "a standby without its directory is ended before a copy is made",
            seen: Scene.seen(Scene.view(leader: "n2"), with(.empty, Scene.standby())), expected: lost,
            because: ["data-directory-empty", "running-without-data-directory"]),
        Row(
            description: "a primary without the key and without its directory, too",
            seen: Scene.seen(Scene.view(leader: "n2"), with(.empty, Scene.primary())), expected: lost,
            because: ["data-directory-empty", "running-without-data-directory"]),
        Row(
            description: "and before a new cluster is made",
            seen: Scene.seen(Scene.view(members: [], initialize: .absent), with(.empty, Scene.primary())),
            expected: lost, because: ["data-directory-empty", "running-without-data-directory"]),
        Row(
            description: "a directory that cannot be read is no reason to go on as a primary without the key",
            seen: Scene.seen(Scene.view(leader: "n2"), with(.inaccessible("I/O error"), Scene.primary())),
            expected: lost, because: ["data-directory-inaccessible", "primary-without-lease"]),
        Row(
            description: "the daemon does not leave a PostgreSQL behind that led this cluster",
            seen: Scene.seen(Scene.view(initialize: foreign.initialize), Scene.primary()), memory: led, expected: lost,
            because: ["system-identifier-mismatch", "still-accepts-writes"]),
        Row(
            description: "one that has finished lets the key go, though its postmaster is there",
            seen: Scene.seen(foreign, finished(.shutDown)), expected: .action(.releaseLeader),
            because: ["system-identifier-mismatch"]),
        Row(
            description: "one that only archives is ended, so that the node can go on",
            seen: Scene.seen(Scene.view(), finished(.shutDown)), expected: lost, because: ["finished-shut-down"]),
        Row(
            description: "not before it had time for it, where somebody else leads",
            seen: Scene.seen(Scene.view(leader: "n2"), finished(.shutDown)),
            expected: .action(
                .carryOut(Plan(.demote, [.postgreSQL(.stop(.fast, timeout: archivingPatience))]))),
            because: ["finished-shut-down"]),
        Row(
            description: "also by the leader, whose hand-over was called off",
            seen: Scene.seen(Scene.view(leader: "n1"), finished(.shutDown)), expected: lost,
            because: ["finished-shut-down"]),
        Row(
            description: "one that was killed and does not go leaves the key to others",
            seen: Scene.seen(Scene.view(leader: "n1"), finished(.killed)), expected: .action(.releaseLeader),
            because: ["finished-killed"]),
        Row(
            description: "and is waited for",
            seen: Scene.seen(Scene.view(leader: "n2"), finished(.killed)), expected: .action(.wait),
            because: ["finished-killed"]),
        Row(
            description: "a switchover that was called off is not tried again",
            seen: Scene.seen(
                Scene.view(leader: "n1", failover: FailoverRequest(leader: "n1", candidate: "n2", revision: 7)),
                Scene.primary(), lease: Scene.lease(), renewal: .held, peers: ["n2": Scene.peer(1000)]),
            memory: calledOff, expected: .action(.write(.clearFailover(7))), because: ["called-off-before"]),
        Row(
            description: "in pause what an operator does to PostgreSQL outlives the lease",
            seen: Scene.seen(
                Scene.view(leader: "n1"), Scene.primary(), lease: Scene.lease(heldFor: .seconds(29)),
                running: RunningPlan(
                    plan: Plan(.restart, [.postgreSQL(.stopToRestart(timeout: .seconds(60)))]), since: Scene.now),
                settings: ["pause": true], storeFailure: "no endpoint answers"), expected: .action(.wait),
            because: ["operation-running", "store-unreachable-too-long", "paused"]),
        Row(
            description: "but one that never did is left alone",
            seen: Scene.seen(Scene.view(initialize: foreign.initialize), Scene.primary()), expected: .action(.exit),
            because: ["system-identifier-mismatch"]),
    ]

    /// Who was promoted in this life and has shut down since only archives.
    @Test func whatHasFinishedIsNotPromotingAnyMore() {
        var status = Self.promoting
        #expect(!mayGiveUpKey(status))
        status.finish = .shutDown
        #expect(mayGiveUpKey(status))
    }

    @Test(arguments: rows + unseenRows + doubtfulRows) func decides(_ row: Row) {
        row.check()
    }

    /// Whatever else is seen beside a server that may accept writes: no decision gives the key away or ends the daemon
    /// of a leader, and no plan releases before it has stopped.
    @Test func noCombinationGivesTheKeyAway() {
        for seen in Self.combinations {
            var memory = Self.led
            memory.failedStarts = 1
            memory.startingSince = seen.now - .seconds(1000)
            let decision = decide(seen, &memory)
            switch decision.action {
            case .releaseLeader, .exit: Issue.record("\(decision)")
            case .carryOut(let plan), .breakOff(let plan):
                let release = plan.steps.firstIndex(of: .releaseLeader) ?? plan.steps.endIndex
                let stops = plan.steps[..<release].contains { if case .postgreSQL(.stop) = $0 { true } else { false } }
                #expect(release == plan.steps.endIndex || stops, "\(decision)")
            case .wait, .ask, .acquireLeader, .initializeCluster, .write: break
            }
        }
    }

    static var combinations: [Observation] {
        let views = ["n1", "n2", nil].flatMap { leader in
            [ClusterView.Initialization.value(Scene.identifier), foreign.initialize, .absent, .inProgress].map {
                Scene.view(leader: leader, initialize: $0)
            }
        }
        let directories: [PostgreSQLStatus.DataDirectory] = [.initialized, .empty, .inaccessible("?")]
        let servers = directories.flatMap { directory in [Scene.primary(), silent].map { with(directory, $0) } }
        let renewals: [Observation.Renewal?] = [nil, .held, .refused]
        let documents: [JSONObject] = [[:], ["pause": true], ["primary_start_timeout": 0]]
        let answers: [[String: PeerAnswer]?] = [nil, ["n2": Scene.peer(1000), "n3": Scene.peer(1000)]]
        var all: [Observation] = []
        for view in views {
            for server in servers {
                for renewal in renewals {
                    for document in documents {
                        for peers in answers {
                            all.append(
                                Scene.seen(
                                    view, server, lease: Scene.lease(), renewal: renewal, peers: peers,
                                    settings: document))
                        }
                    }
                }
            }
        }
        return all
    }
}

import ClusterModel
import HighAvailability
import Testing

/// What becomes of a data directory that has parted, or in which pg_rewind was broken off (ha-loop.md §8.2,
/// postgresql.md §21).
@Suite struct RejoinTests {
    static let following = StoppedAndDivergedTests.following
    static let diverged = StoppedAndDivergedTests.diverged
    static let same = StoppedAndDivergedTests.same
    static let sameNumber = Observation.Divergence.facts(StoppedAndDivergedTests.facts(2000, source: 1))

    /// pg_rewind failed: who may remove?
    static let permissions: [Row] = [
        Row(
            description: "a directory that pg_rewind gave up on is kept",
            seen: parted(), memory: failed, expected: .action(.wait),
            because: ["diverged", "rewind-failed", "directory-kept"]),
        Row(
            description: "unless a rewind that failed allows a removal",
            seen: parted { $0.mayRemove.onRewindFailure = true }, memory: failed, expected: .plan(.reclone),
            because: ["diverged", "rewind-failed"]),
        Row(
            description: "or a timeline that parted does",
            seen: parted { $0.mayRemove.onDivergedTimelines = true }, memory: failed, expected: .plan(.reclone),
            because: ["diverged", "rewind-failed"]),
        Row(
            description: "what another leader's directory made pg_rewind say is not said of this one's",
            seen: parted { $0.mayRemove.onRewindFailure = true }, memory: refused(by: "n3"), expected: .plan(.rewind),
            because: ["diverged"]),
        Row(
            description: "on the same it is not tried again",
            seen: parted { $0.mayRemove.onRewindFailure = true }, memory: refused(by: "n2"), expected: .plan(.reclone),
            because: ["diverged", "rewind-failed"]),
        Row(
            description: "copies that fail again and again are told",
            seen: parted { $0.mayRemove.onRewindFailure = true }, memory: failedCopies, expected: .action(.wait),
            because: ["diverged", "rewind-failed", "tried-again", "copy-failed"]),
        Row(
            description: "a directory whose copy has failed does not start without a leader",
            seen: Scene.seen(Scene.view(), Scene.stopped(.shutDown)), memory: awaitingCopy, expected: .action(.wait),
            because: ["not-running", "leader-key-free", "directory-kept"]),
        Row(
            description: "nor behind one that does not answer",
            seen: parted(.unavailable("refused")), memory: awaitingCopy, expected: .action(.wait),
            because: ["not-running", "directory-kept"]),
        Row(
            description: "one that pg_rewind cannot be used on is kept",
            seen: parted { $0.canRewind = false }, expected: .action(.wait),
            because: ["diverged", "rewind-impossible", "directory-kept"]),
        Row(
            description: "also where a rewind that failed would allow a removal: none has",
            seen: parted {
                $0.canRewind = false
                $0.mayRemove.onRewindFailure = true
            }, expected: .action(.wait), because: ["diverged", "rewind-impossible", "directory-kept"]),
        Row(
            description: "unless a timeline that parted allows it",
            seen: parted {
                $0.canRewind = false
                $0.mayRemove.onDivergedTimelines = true
            }, expected: .plan(.reclone), because: ["diverged", "rewind-impossible"]),
        Row(
            description: "of two timelines of one number pg_rewind knows nothing: it is kept, too",
            seen: parted(sameNumber), expected: .action(.wait),
            because: ["diverged", "rewind-impossible", "directory-kept"]),
        Row(
            description: "and replaced with permission",
            seen: parted(sameNumber) { $0.mayRemove.onDivergedTimelines = true }, expected: .plan(.reclone),
            because: ["diverged", "rewind-impossible"]),
        Row(
            description: "what failed for another reason is tried again, not yet",
            seen: parted(), memory: delayed(by: .seconds(1)), expected: .action(.wait),
            because: ["diverged", "tried-again"]),
        Row(
            description: "but then, whatever may be removed",
            seen: parted { $0.mayRemove = .init(onRewindFailure: true, onDivergedTimelines: true) },
            memory: delayed(by: .zero), expected: .plan(.rewind), because: ["diverged"]),
        Row(
            description: "a running standby that is kept is stopped: it serves what never was",
            seen: Scene.seen(
                following, Scene.standby(streaming: false, canRewind: false), divergence: diverged),
            expected: .plan(.stopParted), because: ["diverged", "rewind-impossible", "directory-kept"]),
        Row(
            description: "a kept one does not start where the source does not answer",
            seen: parted(.unavailable("refused")), memory: kept, expected: .action(.wait),
            because: ["not-running", "directory-kept"]),
        Row(
            description: "nor without a leader",
            seen: Scene.seen(Scene.view(), Scene.stopped(.shutDown)), memory: kept, expected: .action(.wait),
            because: ["not-running", "leader-key-free", "directory-kept"]),
        Row(
            description: "nor does it stand for election where it runs all the same",
            seen: Scene.seen(Scene.view(), Scene.standby(), peers: RaceTests.bothEqual), memory: kept,
            expected: .action(.wait), because: ["directory-kept"]),
        Row(
            description: "until a comparison says otherwise",
            seen: parted(same), memory: kept, expected: .plan(.startStandby), because: ["not-running", "must-follow"]),
    ]

    /// Single-user recovery writes a checkpoint, which parts.
    static let recoveries: [Row] = [
        Row(
            description: "without a pg_rewind to follow, a crashed ex-primary is compared as it is",
            seen: Scene.seen(following, Scene.stopped(canRewind: false)),
            expected: .action(.ask(.divergence(from: Scene.upstream("n2")))), because: ["must-follow"]),
        Row(
            description: "and started, read-only, where that does not tell",
            seen: Scene.seen(
                following, Scene.stopped(canRewind: false), divergence: .unavailable("in production")),
            expected: .plan(.startStandby), because: ["not-running", "must-follow"]),
        Row(
            description: "a state that PostgreSQL leaves at once is no crash",
            seen: Scene.seen(following, Scene.stopped(.startingUp)),
            expected: .action(.ask(.divergence(from: Scene.upstream("n2")))), because: ["must-follow"]),
    ]

    /// A standby that ends by itself, or does not start.
    static let starts: [Row] = [
        Row(
            description: "a standby that failed to start compares timelines",
            seen: Scene.seen(following, standby), memory: failedStarts(1, pause: .zero),
            expected: .action(.ask(.divergence(from: Scene.upstream("n2")))), because: ["must-follow"]),
        Row(
            description: "and so does one that ended while it was starting",
            seen: Scene.seen(following, ended(.startFailed)),
            expected: .action(.ask(.divergence(from: Scene.upstream("n2")))), because: ["must-follow"]),
        Row(
            description: "or later",
            seen: Scene.seen(following, ended(.crashed)),
            expected: .action(.ask(.divergence(from: Scene.upstream("n2")))), because: ["must-follow"]),
        Row(
            description: "it is rewound where it has parted",
            seen: Scene.seen(following, standby, divergence: diverged), memory: failedStarts(1, pause: .seconds(1)),
            expected: .plan(.rewind), because: ["diverged"]),
        Row(
            description: "and started once more where it has not, after a pause",
            seen: Scene.seen(following, standby, divergence: same), memory: failedStarts(3, pause: .seconds(1)),
            expected: .action(.wait), because: ["start-failed", "started-again"]),
        Row(
            description: "which ends",
            seen: Scene.seen(following, standby, divergence: same), memory: failedStarts(3, pause: .zero),
            expected: .plan(.startStandby), because: ["not-running", "must-follow"]),
    ]

    /// pg_rewind was broken off: only rewound or copied, never started.
    static let brokenOff: [Row] = [
        Row(
            description: "without a leader it waits", seen: Scene.seen(Scene.view(), halfRewound()),
            expected: .action(.wait), because: ["rewind-broken-off", "waiting-for-leader"]),
        Row(
            description: "in a standby cluster that has an archive alone somebody else must act",
            seen: Scene.seen(following, halfRewound(), settings: ["standby_cluster": ["restore_command": "false"]]),
            expected: .action(.wait), because: ["rewind-broken-off", "nobody-to-rewind-from"]),
        Row(
            description: "with one it asks whether that is a primary",
            seen: Scene.seen(following, halfRewound()),
            expected: .action(.ask(.divergence(from: Scene.upstream("n2")))), because: ["rewind-broken-off"]),
        Row(
            description: "and is rewound again, whatever its control file says",
            seen: Scene.seen(following, halfRewound(), divergence: same), expected: .plan(.rewind),
            because: ["rewind-broken-off"]),
        Row(
            description: "not from one that does not answer",
            seen: Scene.seen(following, halfRewound(), divergence: .unavailable("refused")), expected: .action(.wait),
            because: ["rewind-broken-off", "divergence-unknown"]),
        Row(
            description: "nor from a standby",
            seen: Scene.seen(
                following, halfRewound(),
                divergence: .facts(StoppedAndDivergedTests.facts(900, sourceInRecovery: true))),
            expected: .action(.wait), because: ["rewind-broken-off", "divergence-unknown"]),
        Row(
            description: "where pg_rewind gave up it is kept",
            seen: Scene.seen(following, halfRewound(), divergence: same), memory: failed, expected: .action(.wait),
            because: ["rewind-broken-off", "rewind-failed", "directory-kept"]),
        Row(
            description: "or replaced with permission",
            seen: Scene.seen(following, halfRewound { $0.mayRemove.onRewindFailure = true }, divergence: same),
            memory: failed, expected: .plan(.reclone), because: ["rewind-broken-off", "rewind-failed"]),
        Row(
            description: "a control file that cannot be read is as good as a failure",
            seen: Scene.seen(
                following,
                halfRewound {
                    $0.systemIdentifier = nil
                    $0.control = nil
                    $0.mayRemove.onRewindFailure = true
                }, divergence: same), expected: .plan(.reclone), because: ["rewind-broken-off", "rewind-failed"]),
        Row(
            description: "who holds the key gives it up",
            seen: Scene.seen(Scene.view(leader: "n1"), halfRewound(), renewal: .held),
            expected: .action(.releaseLeader), because: ["rewind-broken-off"]),
        Row(
            description: "in pause nothing is done",
            seen: Scene.seen(following, halfRewound(), divergence: same, settings: ["pause": true]),
            expected: .action(.wait), because: ["rewind-broken-off", "paused"]),
        Row(
            description: "what belongs to another cluster is not touched",
            seen: Scene.seen(
                following, halfRewound { $0.systemIdentifier = "7400000000000000009" }, divergence: same),
            expected: .action(.exit), because: ["system-identifier-mismatch"]),
    ]

    @Test(arguments: permissions + recoveries + starts + brokenOff) func decides(_ row: Row) {
        row.check()
    }

    @Test func aKeptDirectorySaysWhatToDo() {
        let (decision, memory) = Scene.decided(Self.parted { $0.canRewind = false })
        #expect(memory.kept == .rewindImpossible)
        #expect(decision.needsOperator?.contains("remove_data_directory_on_diverged_timelines") == true)
        #expect(decision.needsOperator?.contains("POST /reinitialize") == true)
    }

    @Test func whatIsToBeReplacedIsKeptUntilThen() {
        let seen = Self.parted { $0.mayRemove.onRewindFailure = true }
        var (decision, memory) = Scene.decided(seen, Self.failed)
        guard case .carryOut(let plan) = decision.action else {
            Issue.record("\(decision)")
            return
        }
        let copy = Step.postgreSQL(.clone(from: Scene.upstream("n2"), replacing: .last))
        #expect(plan.steps.contains(copy) && memory.kept == .awaitingCopy)
        memory.learnFailure(
            of: .clone(from: Scene.upstream("n2"), replacing: .last), in: .reclone, "no", isFinal: false, at: Scene.now)
        #expect(memory.kept == .awaitingCopy)
        // What has gone is kept no longer.
        (decision, memory) = Scene.decided(Scene.seen(Self.following, Scene.empty), memory)
        #expect(memory.kept == nil)
    }

    @Test func aStandbyThatCrashedIsMadeCleanBeforePgRewindReadsIt() {
        let crashed = Scene.stopped(.inArchiveRecovery, standbySignal: true)
        let (decision, memory) = Scene.decided(
            Scene.seen(Self.following, crashed, divergence: Self.diverged), Self.failedStarts(1, pause: .zero))
        guard case .carryOut(let plan) = decision.action else {
            Issue.record("\(decision)")
            return
        }
        #expect(plan.steps.first == .postgreSQL(.recoverSingleUser))
        #expect(memory.triedSingleUserRecovery)
    }

    @Test func pausesGrowAndAreBounded() {
        var retries = Memory.Retries()
        var pauses: [Duration] = []
        for _ in 0..<40 {
            retries.note("no answer", at: Scene.now, first: .seconds(5), longest: .seconds(300))
            pauses.append((retries.notBefore ?? Scene.now) - Scene.now)
        }
        #expect(pauses.prefix(4) == [.seconds(5), .seconds(10), .seconds(20), .seconds(40)])
        #expect(pauses.last == .seconds(300))
    }

    // MARK: Builders

    static func parted(
        _ divergence: Observation.Divergence = diverged, _ change: (inout PostgreSQLStatus) -> Void = { _ in }
    ) -> Observation {
        var status = Scene.stopped(.shutDown)
        change(&status)
        return Scene.seen(following, status, divergence: divergence)
    }

    static func halfRewound(_ change: (inout PostgreSQLStatus) -> Void = { _ in }) -> PostgreSQLStatus {
        var status = Scene.stopped(.shutDown)
        status.unfinished = .rewind
        change(&status)
        return status
    }

    static let standby = Scene.stopped(.shutDownInRecovery, standbySignal: true)

    static func ended(_ state: PostgreSQLState) -> PostgreSQLStatus {
        var status = Scene.stopped(.inArchiveRecovery, standbySignal: true)
        status.state = state
        return status
    }

    static var failed: Memory { StoppedAndDivergedTests.memory(failed: true) }

    static func refused(by source: String) -> Memory {
        var memory = Memory()
        memory.rewind = .suspected
        memory.learnFailure(
            of: .rewind(from: Scene.upstream(source)), in: .rewind, "no common ancestor", isFinal: true, at: Scene.now)
        return memory
    }

    static var failedCopies: Memory {
        var memory = failed
        memory.rejoining = delayed(by: .seconds(1)).rejoining
        memory.failedCopies = .init(source: "n2", times: 3, last: Scene.now)
        return memory
    }

    static var awaitingCopy: Memory {
        var memory = kept
        memory.kept = .awaitingCopy
        return memory
    }

    static var kept: Memory {
        var memory = Memory()
        memory.rewind = .suspected
        memory.kept = .rewindImpossible
        return memory
    }

    static func delayed(by pause: Duration) -> Memory {
        var memory = Memory()
        memory.rejoining.failures = 1
        memory.rejoining.notBefore = Scene.now + pause
        memory.rejoining.why = "connection refused"
        return memory
    }

    static func failedStarts(_ times: Int, pause: Duration) -> Memory {
        var memory = Memory()
        memory.failedStarts = times
        memory.starting.failures = times
        memory.starting.notBefore = Scene.now + pause
        return memory
    }
}

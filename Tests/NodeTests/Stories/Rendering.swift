import ClusterModel
import HighAvailability
import JSON
import Ports

@testable import Node

/// Events and effects as lines of a transcript: short, the same in every run, and complete in what matters.
enum Rendering {
    /// `  12.340`.
    static func seconds(_ milliseconds: Int) -> String {
        let text = "\(milliseconds / 1000).\(String("00\(milliseconds % 1000)".suffix(3)))"
        return String(repeating: " ", count: max(0, 8 - text.utf8.count)) + text
    }

    /// Nil for what only carries time on.
    static func text(_ event: CycleEvent) -> String? {
        switch event {
        case .timer: "timer"
        case .woken(let why): "woken: \(why)"
        case .storeChanged(let change): "store: \(text(change))"
        case .postmasterExited(let pid): "postmaster \(pid) has ended"
        case .store(let answer): text(answer)
        case .node(let answer): text(answer)
        case .peers(_, let answers):
            "answered: "
                + answers.sorted { $0.key < $1.key }.map { "\($0.key) \(text($0.value))" }.joined(separator: "; ")
        case .failsafe(_, let answers):
            "promised: "
                + answers.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: "; ")
        case .failsafeAsked(_, let ping): "\(ping.name) asks for a promise"
        case .guardian(_, let result): "guardian: \(outcome(result) { _ in "acknowledged" })"
        case .receiptRetry: "receipt: again"
        case .reloaded: "reloaded"
        case .commanded(let id, let command): "command \(id): \(command)"
        case .shutdownRequested: "SIGTERM"
        case .leaveRequested: "SIGUSR1"
        }
    }

    private static func text(_ answer: StoreAnswer) -> String {
        switch answer {
        case .loaded(let result): "loaded: \(outcome(result) { text($0) })"
        case .renewed(let result): "renewed: \(outcome(result, text))"
        case .acquired(let result): "acquired: \(outcome(result, text))"
        case .released(let result): "released: \(outcome(result) { $0 ? "the key is gone" : "it was not ours" })"
        case .wrote(let purpose, let result): "wrote \(purpose): \(outcome(result) { "\($0)" })"
        case .touched(let result): "touched: \(outcome(result) { "done" })"
        }
    }

    private static func text(_ answer: NodeAnswer) -> String {
        switch answer {
        case .observed(let status): "observed: \(text(status))"
        case .felt(let pulse): pulse?.unansweredSince == nil ? "pulse" : "pulse: an answer is owed"
        case .compared(let result): "compared: \(outcome(result, text))"
        case .performed(_, let result): "performed: \(outcome(result, text))"
        case .checkpointed(let result): "checkpointed: \(outcome(result) { "done" })"
        case .historyRead(let timeline, let lines, _): "history of \(timeline): \(lines.count) lines"
        case .configurationAdopted(let result): "adopted: \(outcome(result) { "done" })"
        case .synchronousNamed(_, let result): "named: \(outcome(result) { "done" })"
        }
    }

    /// Nil for what nobody but a clock or a health check is told.
    static func text(_ effect: CycleEffect, start: BootInstant) -> String? {
        switch effect {
        case .store(let request, _): text(request)
        case .node(let request): text(request)
        case .peers(let members, _, _): "ask \(members.map(\.name).joined(separator: ", "))"
        case .failsafe(_, let members, _, _):
            "ask \(members.map(\.name).joined(separator: ", ")) for a promise"
        case .guardian(let order, _): "guardian: \(text(order, start: start))"
        case .local(let effect): text(effect)
        }
    }

    private static func text(_ request: StoreRequest) -> String? {
        switch request {
        case .load, .refresh: nil
        case .renew(_, let replacing): "renew the lease\(replacing ? ", the key may be gone" : "")"
        case .acquire: "create the leader key"
        case .release(let status):
            "delete the leader key" + (status.map { ", /status \(JSON.text(.object($0)))" } ?? "")
        case .write(let key, let value, let condition, _): "write /\(key.rawValue) \(value.text) if \(condition)"
        case .delete(let key, let condition, _): "delete /\(key.rawValue) if \(condition)"
        case .touch(let value, _, _): "touch \(text(value))"
        }
    }

    private static func text(_ request: NodeRequest) -> String? {
        switch request {
        case .observe: nil
        case .compare(let source, _): "compare with \(source.name)"
        case .perform(let operation, let slots, _):
            "perform \(text(operation))"
                + (slots.isEmpty ? "" : " after \(slots.map { "\($0)" }.joined(separator: ", "))")
        case .breakOff: "break off what runs"
        case .applySlots(let slots, _): "slots: \(slots.map { "\($0)" }.joined(separator: ", "))"
        case .checkpoint: "checkpoint"
        case .proveCopy: "the restored copy has everything"
        case .readHistory(let timeline): "read the history of \(timeline)"
        case .adoptConfiguration(let document): "adopt \(JSON.text(.object(document)))"
        case .nameSynchronous(let setting): "synchronous standbys: \(setting)"
        }
    }

    private static func text(_ effect: LocalEffect) -> String? {
        switch effect {
        case .setTimer, .publish, .adoptTimings, .retryReceipt: nil
        case .cacheConfiguration: "keep /config beside the data"
        case .reply(let id, let outcome): "reply \(id): \(outcome)"
        case .replyFailsafe(_, let answer): "promise: \(answer)"
        case .log(let level, let text): "\(level): \(text)"
        case .exit(let code): "exit \(code)"
        }
    }

    /// A member key without what is the same in every story.
    private static func text(_ key: JSONObject) -> String {
        let always: Set = ["conn_url", "api_url", "version", "matriarch"]
        return key.members.filter { !always.contains($0.key) }.map { member in
            "\(member.key)=\(member.value.string ?? JSON.text(member.value))"
        }.joined(separator: " ")
    }

    private static func outcome<Value, Failure: Error>(
        _ result: Result<Value, Failure>, _ text: (Value) -> String
    ) -> String {
        switch result {
        case .success(let value): text(value)
        case .failure(let error): "\(error)"
        }
    }

    private static func text(_ change: DCSEvent) -> String {
        switch change {
        case .changed(let leaf, let value, _): "/\(leaf) \(value?.text ?? "is gone")"
        case .resynchronized: "events may have been lost"
        case .disconnected(let why): "the watch is down: \(why)"
        }
    }

    private static func text(_ status: PostgreSQLStatus) -> String {
        guard status.postmaster != nil else {
            let control = status.control.map { " (\($0.state.rawValue), timeline \($0.checkpointTimeline))" } ?? ""
            return "\(status.dataDirectory), no postmaster\(control)"
        }
        guard let facts = status.facts else { return "postmaster, \(status.readiness), no facts" }
        return "\(facts.inRecovery ? "standby" : "primary") at \(facts.position) on \(facts.timeline ?? 0)"
    }

    private static func text(_ view: ClusterView) -> String {
        let request = view.failover.map { ", /failover \($0.leader ?? "-") to \($0.candidate ?? "-")" } ?? ""
        let members = view.members.map(\.name).joined(separator: ", ")
        return "leader \(view.leaderName ?? "none"), members \(members.isEmpty ? "none" : members)\(request)"
    }

    private static func text(_ result: OperationResult) -> String {
        switch result {
        case .done: "done"
        case .stillStarting: "still starting"
        case .archiving(let positions): "archiving, shut down at \(positions.checkpoint)"
        case .shutDown(let positions):
            "shut down" + (positions.map { " at \($0.checkpoint), WAL to \($0.required)" } ?? "")
        }
    }

    private static func text(_ claim: LeaderClaim) -> String {
        switch claim {
        case .held: "held"
        case .refused: "refused"
        }
    }

    private static func text(_ answer: PeerAnswer) -> String {
        switch answer {
        case .unreachable(let why): "unreachable: \(why)"
        case .status(let status):
            status.isPrimary ? "primary on \(status.timeline)" : "at \(status.position) on \(status.timeline)"
        }
    }

    private static func text(_ facts: DivergenceFacts) -> String {
        let history = facts.sourceHistory.map { "\($0.timeline) until \($0.position)" }.joined(separator: ", ")
        return "here \(facts.localPosition) on \(facts.localTimeline), there \(facts.sourceTimeline) (\(history))"
    }

    private static func text(_ operation: PostgreSQLOperation) -> String {
        switch operation {
        case .bootstrap, .finishBootstrap, .resumeReplay, .promote, .recoverSingleUser, .setAsideDataDirectory,
            .copyLogicalSlots, .nameSynchronous, .prePromote, .restore, .archiveLastSegment:
            operation.name
        case .clone(let source, let replaced, _):
            "clone from \(source.name)\(replaced == .nothing ? "" : " in place of what is here")"
        case .startPrimary(let timeout, _): "start primary within \(timeout)"
        case .startStandby(let upstream, let timeout):
            "start standby of \(upstream?.name ?? "nobody") within \(timeout)"
        case .follow(let upstream): "follow \(upstream?.name ?? "nobody")"
        case .stop(let mode, let timeout, _): "stop \(mode.rawValue) within \(timeout)"
        case .stopToRestart(let timeout): "stop to restart within \(timeout)"
        case .rewind(let source): "rewind from \(source.name)"
        }
    }

    private static func text(_ order: GuardOrder, start: BootInstant) -> String {
        switch order {
        case .disarm: "disarm"
        case .enforce(let lease, let postmaster):
            "enforce until \((lease.deadline - start).inSeconds) on \(postmaster.map(String.init) ?? "nobody")"
        }
    }
}

extension DCSValue {
    /// As etcd has it.
    var text: String {
        switch self {
        case .text(let text): text
        case .document(let value): JSON.text(value, .compact)
        }
    }
}

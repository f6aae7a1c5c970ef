import ClusterModel

/// What a member says of itself when it is asked.
enum MemberReport: Sendable {
    /// `GET /patroni`, and when it was asked, in nanoseconds since the epoch.
    case answer(JSONObject, wallTime: Int64)
    /// Why there is no answer.
    case silence(String)
}

/// What of a member's own words commonly goes wrong.
enum MemberRules {
    static func findings(_ member: Member, _ report: MemberReport, loopWait: Duration) -> [Finding] {
        switch report {
        case .silence(let reason):
            return [
                Finding(
                    severity: .problem, what: "the API of \(member.name) does not answer: \(reason)",
                    remedy: "see whether its daemon runs, and whether \(member.apiURL ?? "an address") leads to it")
            ]
        case .answer(let status, let wallTime):
            return clock(member, status, wallTime, loopWait) + guardian(member, status) + words(member, status)
        }
    }

    /// A clock may be ahead by this before anybody is told.
    private static let skewMax: Int64 = 2

    /// It tells when it last heard of the store: that is never in the future.
    private static func clock(
        _ member: Member, _ status: JSONObject, _ wallTime: Int64, _ loopWait: Duration
    ) -> [Finding] {
        guard let seen = status["dcs_last_seen"]?.int, seen > 0 else { return [] }
        let ahead = seen - wallTime / 1_000_000_000
        if ahead > skewMax {
            return [
                Finding(
                    severity: .warning, what: "the clock of \(member.name) is \(ahead) seconds ahead of the one here",
                    remedy: "let every machine keep its time by NTP")
            ]
        }
        let patience = 3 * loopWait.components.seconds + skewMax
        guard -ahead > patience else { return [] }
        return [
            Finding(
                severity: .warning,
                what: "\(member.name) has not heard of the store for \(-ahead) seconds, or its clock is behind",
                remedy: "see its log and its clock")
        ]
    }

    /// Without one a daemon that hangs leaves PostgreSQL running behind an expired lease.
    private static func guardian(_ member: Member, _ status: JSONObject) -> [Finding] {
        guard member.ownVersion != nil else { return [] }
        guard let guardian = status["guardian"]?.object else {
            return [
                Finding(
                    severity: .warning, what: "no guardian watches over \(member.name)",
                    remedy: "set guardian.mode to on, or take it out, and start the daemon again")
            ]
        }
        guard member.role == .primary, guardian["armed"]?.bool == false else { return [] }
        return [
            Finding(
                severity: .warning, what: "the guardian of \(member.name), which leads, is not armed",
                remedy: "see its log: it is armed with every lease")
        ]
    }

    private static func words(_ member: Member, _ status: JSONObject) -> [Finding] {
        var found: [Finding] = []
        if let need = status["needs_operator"]?.string {
            found.append(Finding(severity: .problem, what: "\(member.name) needs you: \(need)", remedy: "see its log"))
        }
        if let wait = status["waiting_for"]?.string {
            found.append(
                Finding(severity: .notice, what: "\(member.name) waits for \(wait)", remedy: "it goes on by itself"))
        }
        if status["logger_records_lost"]?.int ?? 0 > 0 {
            found.append(
                Finding(
                    severity: .notice, what: "\(member.name) has lost lines of its log",
                    remedy: "see whether its disk keeps up, or let log.level be higher"))
        }
        return found
    }
}

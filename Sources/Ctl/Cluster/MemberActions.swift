import ClusterModel
import HTTPClient

/// One request to each of several members, and the line that tells how it went.
struct MemberActions {
    private let client: MemberClient
    private let session: Session
    /// Some member could not be asked: the others were, and the exit code says so.
    private(set) var hasFailed = false

    init(_ session: Session) throws {
        client = try MemberClient(session)
        self.session = session
    }

    /// Asks `member`; nil, and a line that says why, where it does not answer.
    mutating func ask(
        _ method: String, _ endpoint: String, of member: Member, body: JSONObject? = nil, for action: String
    ) async -> MemberClient.Answer? {
        session.terminal.setInterruptionNote(
            "The \(action) of \(member.name) may have begun, and goes on then; the members after it were not asked.")
        do throws(HTTPClientError) {
            return try await client.send(method, endpoint, to: member, body: body)
        } catch {
            hasFailed = true
            say("Failed: \(action) for member \(member.name), (\(error))")
            return nil
        }
    }

    /// The line of ctl.md §3.6; true where the member agreed.
    @discardableResult
    func report(_ answer: MemberClient.Answer, _ action: String, _ member: Member) -> Bool {
        if answer.status < 400 {
            say("Success: \(action) for member \(member.name)")
            return true
        }
        say("Failed: \(action) for member \(member.name), status code=\(answer.status), (\(answer.body))")
        return false
    }

    func say(_ line: String) { session.terminal.write(line + "\n") }

    /// To be called last.
    func finish() throws(CtlError) { if hasFailed { throw .ended(1) } }
}

import ClusterAccess
import ClusterModel
import Configuration
import HTTPClient
import JSON
import Peers
import Posix

/// The REST APIs of members, as an operator's tool asks them (ctl.md §1.3).
struct MemberClient: Sendable {
    /// What a member answered.
    struct Answer: Sendable {
        let status: Int
        let body: String

        var json: JSONValue? { try? JSON.parse(body) }
    }

    private let client: HTTPClient
    private let credentials: BasicCredentials?
    private let session: Session

    init(_ session: Session) throws(SystemError) {
        let settings = session.configuration.ctl
        let verifiesHost = !session.isInsecure
        let tls = TLSOptions(
            cacert: settings.authorityFile, cert: settings.certificateFile, key: settings.keyFile,
            keyPassword: settings.keyFilePassword,
            verifiesPeer: !session.isInsecure || settings.certificateFile != nil, verifiesHost: verifiesHost)
        let agent = "Patroni/\(Version.patroni) Matriarch/\(Version.own)"
        client = try HTTPClient(name: "members", options: HTTPClientOptions(userAgent: agent, tls: tls))
        credentials = settings.authentication.map {
            BasicCredentials(username: $0.username, password: $0.password)
        }
        self.session = session
    }

    /// A server holds a request until what was asked for is done: a restart may take its time, and Ctrl-C ends the
    /// waiting.
    private static let patience = Duration.seconds(86_400)
    private static let attempts = 4
    private static let answerMax = 16 << 20

    /// Sends one request to the API of `member`. Where nobody listens it is tried again, three times.
    func send(
        _ method: String, _ endpoint: String, to member: Member, body: JSONObject? = nil,
        within patience: Duration = Self.patience
    ) async throws(HTTPClientError) -> Answer {
        guard let apiURL = member.apiURL, let url = PeerURL.replacingPath(of: apiURL, with: "/" + endpoint) else {
            throw .failed("\(member.name) has no address of a REST API")
        }
        var request = HTTPClientRequest(
            method: method, url: url, body: body.map { Array(JSON.text($0).utf8) }, credentials: credentials,
            bodyLimit: Self.answerMax)
        if method != "GET" { request.body = request.body ?? [] }
        let deadline = session.now + patience
        for attempt in 1... {
            do throws(HTTPClientError) {
                let response = try await client.send(request, deadline: deadline)
                return Answer(status: response.status, body: String(decoding: response.body, as: UTF8.self))
            } catch {
                guard case .notConnected(let reason) = error, attempt < Self.attempts else { throw error }
                session.warn("\(url): \(reason); it is tried again (\(attempt) of \(Self.attempts - 1))")
                await session.pause(.milliseconds(100 * attempt))
            }
        }
        throw .closed
    }

    /// Opens a stream of the API of `member`; `patience` is for its first byte.
    func stream(
        _ endpoint: String, from member: Member, within patience: Duration
    ) async throws(HTTPClientError) -> HTTPClientStream {
        guard let apiURL = member.apiURL, let url = PeerURL.replacingPath(of: apiURL, with: "/" + endpoint) else {
            throw .failed("\(member.name) has no address of a REST API")
        }
        let request = HTTPClientRequest(url: url, credentials: credentials)
        return try await client.stream(request, deadline: session.now + patience)
    }
}

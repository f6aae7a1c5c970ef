import ClusterModel
import HTTPServer

/// Who may change anything (rest-api.md §3), in the order in which it is asked: the address, the client's certificate,
/// the credentials.
public struct AccessRules: Sendable {
    /// base64 of `username:password`; nil for everybody.
    private let credentials: [UInt8]?
    private let addresses: Addresses
    /// Whatever changes something needs a certificate, also on a connection from before HTTPS was switched on.
    private let needsCertificate: Bool

    /// Where a change may come from.
    public struct Addresses: Sendable, Hashable {
        /// Nil for anywhere; the members come on top. Empty for nowhere: names that could not be resolved open nothing.
        public var networks: [IPNetwork]?
        /// Members may call what is meant for them.
        public var includesMembers: Bool

        public init(networks: [IPNetwork]? = nil, includesMembers: Bool = false) {
            self.networks = networks
            self.includesMembers = includesMembers
        }
    }

    /// Rules that ask for nothing let everybody in.
    public init(
        username: String? = nil, password: String? = nil, addresses: Addresses = Addresses(),
        needsCertificate: Bool = false
    ) {
        if let username, let password {
            credentials = Array(Base64.encode("\(username):\(password)").utf8)
        } else {
            credentials = nil
        }
        self.addresses = addresses
        self.needsCertificate = needsCertificate
    }

    /// The refusal of a request, or nil. `members` gives the addresses of the members, and is nil for what is not meant
    /// for them; it is asked only where it matters.
    func refusal(_ request: HTTPRequest, members: (() async -> [String])?) async -> HTTPResponse? {
        if await !allows(request.peer, members) { return .text(403, "Access is denied") }
        if needsCertificate && request.security != .verified { return .text(403, "client certificate required") }
        return refusal(ofCredentials: request)
    }

    private func allows(_ peer: String, _ members: (() async -> [String])?) async -> Bool {
        let members = addresses.includesMembers ? members : nil
        if addresses.networks == nil && members == nil { return true }
        if addresses.networks?.contains(where: { $0.contains(peer) }) == true { return true }
        guard let members else { return false }
        return await members().contains { IPNetwork(address: $0)?.contains(peer) == true }
    }

    private func refusal(ofCredentials request: HTTPRequest) -> HTTPResponse? {
        guard let credentials else { return nil }
        guard let header = request.headers["Authorization"] else { return Self.challenge("no auth header received") }
        let scheme = "Basic ".utf8
        guard header.utf8.starts(with: scheme),
            equalInConstantTime(Array(header.utf8.dropFirst(scheme.count)), credentials)
        else { return Self.challenge("not authenticated") }
        return nil
    }

    private static func challenge(_ text: String) -> HTTPResponse {
        var response = HTTPResponse.text(401, text)
        response.headers.append("WWW-Authenticate", "Basic realm=\"Patroni\"")
        return response
    }
}

/// Compares without telling by the time it takes how much was right.
private func equalInConstantTime(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    var difference = left.count ^ right.count
    for index in left.indices { difference |= Int(left[index] ^ right[index % max(1, right.count)]) }
    return difference == 0 && !right.isEmpty
}

import ClusterModel
import HTTPServer
import HighAvailability
import Testing

@testable import ControlAPI

/// Where changes may come from, and over what (rest-api.md §3).
@Suite struct AllowlistTests {
    @Test(arguments: [
        ("10.0.0.0/8", "10.1.2.3", true), ("10.0.0.0/8", "11.0.0.1", false), ("10.9.9.9/8", "10.1.2.3", true),
        ("192.0.2.1", "192.0.2.1", true), ("192.0.2.1", "192.0.2.2", false), ("192.0.2.1/32", "192.0.2.1", true),
        ("192.0.2.128/25", "192.0.2.127", false), ("192.0.2.128/25", "192.0.2.255", true),
        ("0.0.0.0/0", "203.0.113.9", true), ("0.0.0.0/0", "2001:db8::1", false),
        ("2001:db8::/32", "2001:db8:1::1", true), ("2001:db8::/32", "2001:db9::1", false),
        ("::1", "0:0:0:0:0:0:0:1", true), ("::ffff:192.0.2.1", "192.0.2.1", true),
        ("192.0.2.0/24", "::ffff:192.0.2.7", true), ("::ffff:192.0.2.0/120", "192.0.2.7", true),
        ("192.0.2.1", "", false), ("192.0.2.1", "nonsense", false),
    ])
    func networks(_ network: String, _ address: String, _ contains: Bool) throws {
        #expect(try #require(IPNetwork(network)).contains(address) == contains)
    }

    @Test(arguments: ["", "/", "a", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0/8", "10.0.0.1/8/9", "::/129"])
    func noNetworks(_ text: String) { #expect(IPNetwork(text) == nil) }

    /// Whoever writes a member key opens the API to an address of its own at most.
    @Test(arguments: ["http://[0.0.0.0/0]:8008/patroni", "http://[203.0.113.0/24]:8008/patroni", "http://0.0.0.0/0"])
    func noMemberIsANetwork(_ url: String) async throws {
        let view = Scene.view(
            leader: "pg-a", members: [Scene.member("pg-a"), Scene.member("pg-b", ["api_url": .string(url)])])
        let addresses = AccessRules.Addresses(networks: [], includesMembers: true)
        #expect(try await answer("203.0.113.9", "/reload", addresses, view: view).status == 403)
        let bench = Bench(Scene.snapshot(view: view))
        #expect(!bench.api.hasShare(try HTTPRequest(method: "POST", target: "/reload", peer: "203.0.113.9")))
        #expect(IPNetwork(address: "0.0.0.0/0") == nil && IPNetwork(address: "203.0.113.9") != nil)
    }

    private func answer(
        _ peer: String, _ path: String, _ addresses: AccessRules.Addresses, view: ClusterView? = Self.view,
        security: HTTPRequest.Security = .plain, needsCertificate: Bool = false, headers: HTTPHeaders = [:],
        username: String? = nil
    ) async throws -> HTTPResponse {
        let bench = Bench(
            Scene.snapshot(view: view),
            access: AccessRules(
                username: username, password: username, addresses: addresses, needsCertificate: needsCertificate))
        let request = try HTTPRequest(method: "POST", target: path, headers: headers, peer: peer, security: security)
        return await bench.api.answer(request)
    }

    private static let view = Scene.view(
        leader: "pg-a",
        members: [
            Scene.member("pg-a"), Scene.member("pg-b", ["api_url": "http://named.example:8008/patroni"]),
            Member(name: "pg-c", data: JSONObject()),
        ])

    static let list = [IPNetwork("10.0.0.0/8")].compactMap { $0 }

    /// The table of rest-api.md §3. 192.0.2.1 is the member pg-a; 198.51.100.7 is what the name of pg-b stands for.
    @Test(
        arguments: [
            (nil, false, "203.0.113.1", "/reload", true), (nil, false, "203.0.113.1", "/failsafe", true),
            (list, false, "10.1.1.1", "/reload", true), (list, false, "192.0.2.1", "/reload", false),
            (list, true, "192.0.2.1", "/reload", true), (list, true, "198.51.100.7", "/mpp", true),
            (list, true, "203.0.113.1", "/reload", false), (list, true, "192.0.2.1", "/failsafe", false),
            (list, true, "10.1.1.1", "/failsafe", true), (nil, true, "192.0.2.1", "/restart", true),
            (nil, true, "203.0.113.1", "/restart", false), (nil, true, "203.0.113.1", "/failsafe", true),
            ([], false, "203.0.113.1", "/reload", false),
        ] as [([IPNetwork]?, Bool, String, String, Bool)])
    func addresses(_ networks: [IPNetwork]?, _ members: Bool, _ peer: String, _ path: String, _ allowed: Bool)
        async throws
    {
        let answer = try await answer(peer, path, .init(networks: networks, includesMembers: members))
        #expect((answer.status != 403) == allowed)
        if !allowed { #expect(answer.text == "Access is denied" && answer.headers["Content-Type"] == "text/html") }
    }

    @Test func withoutAViewThereAreNoMembers() async throws {
        let rules = AccessRules.Addresses(includesMembers: true)
        #expect(try await answer("192.0.2.1", "/reload", rules, view: nil).status == 403)
    }

    @Test func oneCheckComesAfterTheOther() async throws {
        let list = AccessRules.Addresses(networks: Self.list)
        let right: HTTPHeaders = ["Authorization": "Basic eDp4"]
        func status(_ peer: String, _ security: HTTPRequest.Security, _ headers: HTTPHeaders) async throws -> String {
            let answer = try await answer(
                peer, "/reload", list, security: security, needsCertificate: true, headers: headers, username: "x")
            return "\(answer.status) \(answer.text)"
        }
        #expect(try await status("192.0.2.1", .encrypted, [:]) == "403 Access is denied")
        #expect(try await status("10.0.0.1", .encrypted, [:]) == "403 client certificate required")
        #expect(try await status("10.0.0.1", .plain, right) == "403 client certificate required")
        #expect(try await status("10.0.0.1", .verified, [:]) == "401 no auth header received")
        #expect(try await status("10.0.0.1", .encrypted, right) == "403 client certificate required")
        #expect(try await status("10.0.0.1", .verified, right) == "202 reload scheduled")
    }

    @Test func readingComesFromAnywhere() async throws {
        let rules = AccessRules(addresses: .init(networks: []), needsCertificate: true)
        #expect(try await Bench(Scene.leading(), access: rules).ask("GET", "/primary").status == 200)
        #expect(try await Bench(access: rules).ask("GET", "/config").status == 200)
    }

    /// Of the connections a share is kept for health checks, and for members whatever they ask.
    @Test func probesAndMembersHaveAShare() throws {
        let api = Bench(Scene.snapshot(view: Self.view)).api
        func hasShare(_ method: String, _ target: String, from peer: String) throws -> Bool {
            api.hasShare(try HTTPRequest(method: method, target: target, peer: peer))
        }
        #expect(try hasShare("GET", "/primary", from: "198.51.100.1"))
        #expect(try !hasShare("POST", "/switchover", from: "198.51.100.1"))
        #expect(try hasShare("POST", "/switchover", from: "192.0.2.1"))
    }

    @Test func rulesAreReplaced() async throws {
        let bench = Bench(access: AccessRules(addresses: .init(networks: [])))
        #expect(try await bench.ask("POST", "/reload").status == 403)
        bench.api.adopt(AccessRules())
        #expect(try await bench.ask("POST", "/reload").status == 202)
    }

    @Test func probesAreUrgent() throws {
        let api = Bench().api
        for target in ["/", "/primary", "/replica?lag=1", "/liveness", "/readiness", "/patroni", "/nothing"] {
            #expect(api.kind(of: try HTTPRequest(method: "GET", target: target)) == .urgent)
        }
        #expect(api.kind(of: try HTTPRequest(method: "OPTIONS", target: "/")) == .urgent)
        #expect(api.kind(of: try HTTPRequest(method: "POST", target: "/switchover")) == .changing)
        #expect(api.kind(of: try HTTPRequest(method: "GET", target: "/cluster")) == .reading)
    }
}

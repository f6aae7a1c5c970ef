import ClusterModel
import HTTPServer
import Synchronization
import Testing

@testable import ControlAPI

/// Names in access rules: a resolver that hangs, or many who ask, cost neither threads nor time without a bound.
@Suite(.timeLimit(.minutes(1))) struct HostAddressesTests {
    private func addresses(
        _ resolver: Resolver, clock: FakeClock = FakeClock(), patience: Duration = .seconds(50)
    ) -> HostAddresses {
        HostAddresses(clock: clock, freshness: .seconds(5), patience: patience, resolve: resolver.resolve)
    }

    @Test func manyWhoAskShareALookup() async {
        let resolver = Resolver()
        let hosts = addresses(resolver)
        await withTaskGroup(of: [String: [String]].self) { group in
            for _ in 0..<100 { group.addTask { await hosts.addresses(of: ["a", "b", "a"]) } }
            // Both are under way at once.
            await resolver.untilAsked(2)
            resolver.open()
            for await found in group { #expect(found == ["a": ["a's"], "b": ["b's"]]) }
        }
        #expect(resolver.asked.sorted() == ["a", "b"])
    }

    @Test func anAddressCountsForAWhile() async {
        let (resolver, clock) = (Resolver(isOpen: true), FakeClock())
        let hosts = addresses(resolver, clock: clock)
        for expected in [1, 1, 2] {
            #expect(await hosts.addresses(of: ["a"]) == ["a": ["a's"]])
            #expect(resolver.asked.count == expected)
            await clock.sleep(until: clock.now() + .seconds(3))
        }
    }

    @Test func aResolverThatHangsIsNotWaitedForNorAskedAgain() async {
        let resolver = Resolver()
        let hosts = addresses(resolver, patience: .milliseconds(10))
        for _ in 0..<3 { #expect(await hosts.addresses(of: ["a", "b"]) == ["a": [], "b": []]) }
        #expect(resolver.asked.sorted() == ["a", "b"])
        resolver.open()
        while await hosts.addresses(of: ["a"]) != ["a": ["a's"]] { await Task.yield() }
        #expect(resolver.asked.count == 2)
    }

    @Test func lookupsAtOnceHaveABound() async {
        let resolver = Resolver()
        let hosts = addresses(resolver, patience: .milliseconds(10))
        let found = await hosts.addresses(of: (0..<1000).map { "host-\($0)" })
        #expect(found.count == 1000 && found.values.allSatisfy(\.isEmpty))
        #expect(resolver.asked.count == HostAddresses.lookupsMax)
        resolver.open()
    }

    /// Requests that are refused for where they come from have the members looked up once.
    @Test func aFloodOfRefusedRequestsAsksOnce() async throws {
        let view = Scene.view(
            leader: "pg-a", members: [Scene.member("pg-b", ["api_url": "http://named.example:8008/patroni"])])
        let resolver = Resolver(isOpen: true)
        let api = ControlAPI(
            node: FakeNode(Scene.snapshot(view: view)), store: FakeStore([.success(view)]), peers: FakePeers(),
            clock: FakeClock(), access: AccessRules(addresses: .init(includesMembers: true)), logger: Bench().logger,
            resolve: resolver.resolve)
        let request = try HTTPRequest(method: "POST", target: "/reload", peer: "203.0.113.1")
        for _ in 0..<100 { #expect(await api.answer(request).status == 403) }
        #expect(resolver.asked == ["named.example"])
    }
}

/// A resolver that gives `x's` for `x`, as soon as it is opened.
private final class Resolver: Sendable {
    private let names = Mutex<[String]>([])
    private let gate: Gate

    init(isOpen: Bool = false) { gate = Gate(isOpen: isOpen) }

    var asked: [String] { names.withLock { $0 } }

    func untilAsked(_ count: Int) async { while asked.count < count { await Task.yield() } }

    func open() { gate.open() }

    @Sendable func resolve(_ name: String) async -> [String] {
        names.withLock { $0.append(name) }
        await gate.pass()
        return ["\(name)'s"]
    }
}

import ClusterModel
import Ports
import Posix
import Synchronization
import Testing

@testable import Etcd

/// The watch upon a real etcd, whatever happens to its connection.
@Suite(.timeLimit(.minutes(1)), .serialized)
struct EtcdWatchServerTests {
    /// What a reader has got so far.
    private final class Transcript: Sendable {
        private let events = Mutex<[DCSEvent]>([])
        var all: [DCSEvent] { events.withLock { $0 } }
        var changes: [DCSEvent] {
            all.filter { if case .changed = $0 { true } else { false } }
        }
        var gaps: Int { all.count { $0 == .resynchronized } }

        func read(_ store: EtcdStore) -> Task<Void, Never> {
            Task { for await event in store.events { events.withLock { $0.append(event) } } }
        }

        func waitForStart() async throws { try await eventually("the watch has begun") { gaps == 1 } }
    }

    @discardableResult
    private func put(_ store: EtcdStore, _ leaf: String, _ value: String) async throws -> Revision {
        let put = EtcdOperation.put(store.keys.prefix + leaf, value)
        return try await store.transaction(EtcdMessages.transaction([], then: [put]), soon()).value.revision
    }

    private func putAll(_ count: Int, _ store: EtcdStore) async throws {
        for number in 0..<count { try await put(store, "config", String(number)) }
    }

    @Test func changesComeInOrder() async throws {
        try await EtcdCluster.run { cluster in
            try await cluster.withStore { store in
                let transcript = Transcript()
                let reader = transcript.read(store)
                defer { reader.cancel() }
                try await transcript.waitForStart()
                let first = try await put(store, "leader", "n1")
                let second = try await put(store, "members/n2", "{}")
                let deletion = EtcdOperation.delete(store.keys.leader)
                let third = try await store.transaction(EtcdMessages.transaction([], then: [deletion]), soon()).value
                let outside = EtcdOperation.put("/service/tes", "x")
                _ = try await store.transaction(EtcdMessages.transaction([], then: [outside]), soon())
                let last = try await put(store, "config", "")
                try await eventually("all have come") { transcript.changes.count == 4 }
                #expect(
                    transcript.changes == [
                        .changed(leaf: "leader", value: "n1", revision: first),
                        .changed(leaf: "members/n2", value: "{}", revision: second),
                        .changed(leaf: "leader", value: nil, revision: third.revision),
                        .changed(leaf: "config", value: "", revision: last),
                    ])
            }
        }
    }

    @Test func nothingIsLostOrRepeatedWhileTheStreamIsCut() async throws {
        let count = 2000
        try await EtcdCluster.run { cluster in
            let proxy = try CuttingProxy(to: cluster.endpoints[0].port)
            defer { proxy.stop() }
            let way = EtcdEndpoint(host: "127.0.0.1", port: proxy.port)
            try await cluster.withStore("writer") { writer in
                try await cluster.withStore(
                    "n1",
                    {
                        $0.endpoints = [way]
                        $0.useProxies = true
                    }
                ) { store in
                    let transcript = Transcript()
                    let reader = transcript.read(store)
                    defer { reader.cancel() }
                    try await transcript.waitForStart()
                    async let writing: Void = putAll(count, writer)
                    // Cut while events flow: each time some have come since the last cut.
                    var cuts = 0
                    var before = 0
                    while before < count - 200 {
                        try await eventually("events flow") { transcript.changes.count > before + 50 }
                        before = transcript.changes.count
                        proxy.cut()
                        cuts += 1
                    }
                    try await writing
                    #expect(cuts > 3)
                    try await eventually("all have come") { transcript.changes.count >= count }
                    let values = transcript.changes.map { change -> String? in
                        if case .changed(_, let value, _) = change { value } else { nil }
                    }
                    #expect(values == (0..<count).map { String($0) })
                    #expect(transcript.gaps == 1)
                }
            }
        }
    }

    @Test func itGoesOnAfterTheServerWasKilled() async throws {
        try await EtcdCluster.run { cluster in
            try await cluster.withStore { store in
                let transcript = Transcript()
                let reader = transcript.read(store)
                defer { reader.cancel() }
                try await transcript.waitForStart()
                try await put(store, "config", "1")
                try await eventually("the first has come") { transcript.changes.count == 1 }
                try await cluster.members[0].kill()
                try await eventually("the outage is told") {
                    transcript.all.contains { if case .disconnected = $0 { true } else { false } }
                }
                try cluster.members[0].start()
                try await cluster.waitUntilReady(cluster.members[0])
                let second = try await put(store, "config", "2")
                try await eventually("the second has come") { transcript.changes.count == 2 }
                #expect(transcript.changes.last == .changed(leaf: "config", value: "2", revision: second))
                #expect(transcript.gaps == 1)
            }
        }
    }

    @Test func aCompactionInTheGapIsTold() async throws {
        try await EtcdCluster.run { cluster in
            let proxy = try CuttingProxy(to: cluster.endpoints[0].port)
            let way = EtcdEndpoint(host: "127.0.0.1", port: proxy.port)
            defer { proxy.stop() }
            try await cluster.withStore("writer") { writer in
                try await cluster.withStore(
                    "n1",
                    {
                        $0.endpoints = [way]
                        $0.useProxies = true
                    }
                ) { store in
                    let transcript = Transcript()
                    let reader = transcript.read(store)
                    defer { reader.cancel() }
                    try await transcript.waitForStart()
                    proxy.refuse(true)
                    try await eventually("the outage is told") {
                        transcript.all.contains { if case .disconnected = $0 { true } else { false } }
                    }
                    for number in 1...5 { try await put(writer, "config", String(number)) }
                    let revision = try await put(writer, "config", "6")
                    let body: JSONObject = ["revision": .int(revision)]
                    _ = try await writer.transport.call("/kv/compaction", body, deadline: soon())
                    proxy.refuse(false)
                    try await eventually("the gap is told") { transcript.gaps == 2 }
                    #expect(transcript.changes == [])
                    let last = try await put(writer, "config", "7")
                    try await eventually("events flow again") { transcript.changes.count == 1 }
                    #expect(transcript.changes == [.changed(leaf: "config", value: "7", revision: last)])
                }
            }
        }
    }

    @Test func aHungServerIsLeft() async throws {
        try await EtcdCluster.run(3) { cluster in
            try await cluster.withStore("n1", { $0.retryTimeout = .seconds(6) }) { store in
                let transcript = Transcript()
                let reader = transcript.read(store)
                defer { reader.cancel() }
                try await transcript.waitForStart()
                try await put(store, "config", "1")
                try await eventually("the first has come") { transcript.changes.count == 1 }
                let current = try #require(await store.transport.current)
                let hung = try #require(cluster.members.first { $0.endpoint == current })
                try await hung.pause()
                defer { hung.resume() }
                try await eventually("a write goes through") {
                    do {
                        try await put(store, "config", "2")
                        return true
                    } catch {
                        return false
                    }
                }
                try await eventually("its event has come") {
                    transcript.changes.contains { change in
                        if case .changed("config", "2", _) = change { true } else { false }
                    }
                }
                #expect(transcript.gaps == 1)
            }
        }
    }

    @Test func closingEndsTheEvents() async throws {
        try await EtcdCluster.run { cluster in
            try await cluster.withStore { store in
                let transcript = Transcript()
                let reader = transcript.read(store)
                try await transcript.waitForStart()
                await store.close()
                await reader.value
                await #expect(throws: DCSError.self) { try await store.load(deadline: soon()) }
            }
        }
    }
}

import ClusterModel
import Ports
import Posix
import Synchronization
import Testing

@testable import Etcd

/// The watch upon a real etcd, whatever happens to its connection.
@Suite(.timeLimit(.minutes(5)), .serialized)
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

    /// Until somebody turns it off.
    private final class Switch: Sendable {
        let isOn = Mutex(true)
    }

    /// Writes 0, 1, 2 and so on until it is told to end; how many.
    private func putOn(_ store: EtcdStore, while goesOn: Switch) async throws -> Int {
        var count = 0
        while goesOn.isOn.withLock({ $0 }) {
            try await put(store, "config", String(count))
            count += 1
        }
        return count
    }

    /// A reader whose stream goes through a proxy, and has begun; the writer goes past it.
    private func readThroughProxy(
        _ body: (CuttingProxy, _ writer: EtcdStore, Transcript) async throws -> Void
    ) async throws {
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
                    try await body(proxy, writer, transcript)
                }
            }
        }
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
                        .changed(leaf: "members/n2", value: .object([:]), revision: second),
                        .changed(leaf: "leader", value: nil, revision: third.revision),
                        .changed(leaf: "config", value: "", revision: last),
                    ])
            }
        }
    }

    @Test func nothingIsLostOrRepeatedWhileTheStreamIsCut() async throws {
        try await readThroughProxy { proxy, writer, transcript in
            let writes = Switch()
            async let writing = putOn(writer, while: writes)
            // Cut while events flow: each time some have come since the last cut.
            do {
                defer { writes.isOn.withLock { $0 = false } }
                for _ in 0..<10 {
                    let before = transcript.changes.count
                    try await eventually("events flow") { transcript.changes.count > before + 20 }
                    proxy.cut()
                }
            }
            let count = try await writing
            try await eventually("all have come") { transcript.changes.count >= count }
            let values = transcript.changes.map { change -> DCSValue? in
                if case .changed(_, let value, _) = change { value } else { nil }
            }
            #expect(values == (0..<count).map { .text(String($0)) })
            #expect(transcript.gaps == 1)
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
        try await readThroughProxy { proxy, writer, transcript in
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

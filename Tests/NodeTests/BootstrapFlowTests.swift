import ClusterModel
import HighAvailability
import Ports
import Testing

@testable import Node

/// The flow of a bootstrap through the machine, with the answers in an order that a real world once had.
@Suite struct BootstrapFlowTests {
    static let start = BootInstant(nanoseconds: 1_000_000_000_000)

    static func machine() -> CycleMachine {
        CycleMachine(
            CycleMachine.Setup(
                scope: "test", me: NodeIdentity(name: "n1"),
                addresses: MemberKey.Addresses(
                    connectionURL: "postgres://a:1/p", apiURL: "http://a:2/patroni", version: "4.1.5"),
                document: ["ttl": 30]), now: start)
    }

    static func status(_ state: PostgreSQLState, identifier: String?, at instant: BootInstant) -> PostgreSQLStatus {
        PostgreSQLStatus(
            dataDirectory: identifier == nil ? .empty : .initialized, state: state, systemIdentifier: identifier,
            observedAt: instant)
    }

    /// A machine that has asked the store to publish the cluster that it has just made; its configuration stands there.
    static func publishing() -> (CycleMachine, BootInstant) {
        var (machine, now, _) = configuring()
        now = now + .milliseconds(10)
        _ = machine.step(.store(.wrote(.bootstrapConfig, .success(.written(6)))), now: now, wallTime: 0)
        return (machine, now)
    }

    /// One that has asked it to keep the configuration.
    static func configuring() -> (CycleMachine, BootInstant, [CycleEffect]) {
        var machine = Self.machine()
        var now = start
        for event: CycleEvent in [
            .timer, .node(.observed(status(.stopped, identifier: nil, at: start + .milliseconds(10)))),
            .store(.loaded(.success(ClusterView()))), .store(.wrote(.initialize, .success(.written(5)))),
            .node(.performed(plan: 1, .success(.done))),
        ] {
            now = now + .milliseconds(10)
            _ = machine.step(event, now: now, wallTime: 0)
        }
        now = now + .milliseconds(10)
        let effects = machine.step(
            .node(.observed(status(.running, identifier: "7400000000000000001", at: now))), now: now, wallTime: 0)
        return (machine, now, effects)
    }

    private static func writes(_ effects: [CycleEffect]) -> [DCSKey] {
        effects.compactMap { if case .store(.write(let key, _, _, _), _) = $0 { key } else { nil } }
    }

    private static func deletes(_ effects: [CycleEffect]) -> [DCSKey] {
        effects.compactMap { if case .store(.delete(let key, _, _), _) = $0 { key } else { nil } }
    }

    /// Who knows of the cluster must know for how long the server of whoever has made it may run.
    @Test func theConfigurationIsThereBeforeTheCluster() {
        var (machine, now, effects) = Self.configuring()
        #expect(Self.writes(effects) == [.config])
        now = now + .milliseconds(10)
        effects = machine.step(.store(.wrote(.bootstrapConfig, .success(.written(6)))), now: now, wallTime: 0)
        #expect(Self.writes(effects) == [.initialize])
    }

    @Test func aClusterWhoseConfigurationIsNotTakenIsMovedAside() {
        var (machine, now, _) = Self.configuring()
        now = now + .milliseconds(10)
        let failed = machine.step(
            .store(.wrote(.bootstrapConfig, .failure(.unreachable("no answer")))), now: now, wallTime: 0)
        #expect(Self.operations(failed) == [.setAsideDataDirectory] && Self.deletes(failed) == [.initialize])
    }

    @Test func aConfigurationThatSomebodyHasWrittenStays() {
        var (machine, now, _) = Self.configuring()
        for event: CycleEvent in [
            .store(.wrote(.bootstrapConfig, .success(.refused))),
            .store(.wrote(.bootstrapInitialize, .success(.refused))),
        ] {
            now = now + .milliseconds(10)
            _ = machine.step(event, now: now, wallTime: 0)
        }
        let refused = machine.step(.store(.wrote(.bootstrapInitialize, .success(.refused))), now: now, wallTime: 0)
        #expect(Self.deletes(refused) == [.initialize])
    }

    private static func operations(_ effects: [CycleEffect]) -> [PostgreSQLOperation] {
        effects.compactMap { if case .node(.perform(let operation, _, _)) = $0 { operation } else { nil } }
    }

    @Test func aClusterThatMayBePublishedIsNotMovedAside() {
        var (machine, now) = Self.publishing()
        let failed = machine.step(
            .store(.wrote(.bootstrapInitialize, .failure(.unreachable("no answer")))), now: now, wallTime: 0)
        #expect(Self.operations(failed) == [.stop(.immediate, timeout: .seconds(10))])
        now = now + .milliseconds(10)
        let stopped = machine.step(.node(.performed(plan: 2, .success(.shutDown(nil)))), now: now, wallTime: 0)
        #expect(Self.operations(stopped) == [])
        #expect(stopped.contains { if case .local(.exit(code: 1)) = $0 { true } else { false } })
    }

    @Test func aClusterThatTheStoreRefusesIsMovedAside() {
        var (machine, now) = Self.publishing()
        _ = machine.step(.store(.wrote(.bootstrapInitialize, .success(.refused))), now: now, wallTime: 0)
        now = now + .milliseconds(10)
        let refused = machine.step(.store(.wrote(.bootstrapInitialize, .success(.refused))), now: now, wallTime: 0)
        #expect(Self.operations(refused) == [.setAsideDataDirectory])
        #expect(Self.deletes(refused) == [.initialize, .config])
        now = now + .milliseconds(10)
        let cleared = machine.step(.node(.performed(plan: 2, .success(.done))), now: now, wallTime: 0)
        #expect(cleared.contains { if case .local(.exit(code: 1)) = $0 { true } else { false } })
    }

    /// The claim has gone with its session, and nobody else has begun a cluster.
    @Test func aClusterWhoseClaimHasGoneIsPublishedAllTheSame() {
        var (machine, now) = Self.publishing()
        let again = machine.step(.store(.wrote(.bootstrapInitialize, .success(.refused))), now: now, wallTime: 0)
        let written = again.compactMap { effect -> DCSValue? in
            guard case .store(.write(.initialize, let value, .absent, .bootstrapInitialize), _) = effect else {
                return nil
            }
            return value
        }
        #expect(written == [.text("7400000000000000001")] && Self.operations(again).isEmpty)
        now = now + .milliseconds(10)
        let known = machine.step(.store(.wrote(.bootstrapInitialize, .success(.written(9)))), now: now, wallTime: 0)
        #expect(Self.operations(known) == [.finishBootstrap])
    }

    @Test func withItsIdentifierAClusterIsKnownAndStays() {
        var (machine, now) = Self.publishing()
        let effects = machine.step(
            .store(.wrote(.bootstrapInitialize, .success(.written(7)))), now: now, wallTime: 0)
        #expect(Self.operations(effects) == [.finishBootstrap])
        now = now + .milliseconds(10)
        let failed = machine.step(.node(.performed(plan: 1, .failure(.failed("disk")))), now: now, wallTime: 0)
        #expect(Self.operations(failed) == [])
        #expect(!failed.contains { if case .local(.exit) = $0 { true } else { false } })
    }

    /// An observation that began before initdb was done must not count as the one that tells the new identifier.
    @Test func anObservationFromBeforeTheClusterWasMadeDoesNotFailTheBootstrap() throws {
        var machine = Self.machine()
        var now = Self.start
        func step(_ event: CycleEvent) -> [CycleEffect] {
            now = now + .milliseconds(10)
            return machine.step(event, now: now, wallTime: 0)
        }
        _ = step(.timer)
        let early = now
        _ = step(.node(.observed(Self.status(.stopped, identifier: nil, at: early))))
        _ = step(.store(.loaded(.success(ClusterView()))))
        let begun = step(.store(.wrote(.initialize, .success(.written(5)))))
        #expect(begun.contains { if case .node(.perform(.bootstrap, _, _)) = $0 { true } else { false } })
        let done = step(.node(.performed(plan: 1, .success(.done))))
        #expect(done.contains { if case .node(.observe) = $0 { true } else { false } })
        let late = step(.node(.observed(Self.status(.initializing, identifier: nil, at: early))))
        #expect(!late.contains { if case .local(.exit) = $0 { true } else { false } })
        let told = step(.node(.observed(Self.status(.running, identifier: "7400000000000000001", at: now))))
        #expect(Self.writes(told) == [.config])
        let configured = step(.store(.wrote(.bootstrapConfig, .success(.written(6)))))
        let writes = configured.compactMap { effect -> DCSValue? in
            if case .store(.write(.initialize, let value, .unchanged(since: 5), .bootstrapInitialize), _) = effect {
                value
            } else {
                nil
            }
        }
        #expect(writes == [.text("7400000000000000001")])
        // A probe's refresh may bring another observation before the store has answered.
        let again = step(.node(.observed(Self.status(.running, identifier: "7400000000000000001", at: now))))
        let repeated = again.contains { effect in
            switch effect {
            case .store(.write, _), .store(.delete, _), .local(.exit): true
            default: false
            }
        }
        #expect(!repeated)
    }
}

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
                    connectionURL: "postgres://a:1/p", apiURL: "http://a:2/patroni", version: "4.1.4"),
                document: ["ttl": 30]), now: start)
    }

    static func status(_ state: PostgreSQLState, identifier: String?, at instant: BootInstant) -> PostgreSQLStatus {
        PostgreSQLStatus(
            dataDirectory: identifier == nil ? .empty : .initialized, state: state, systemIdentifier: identifier,
            observedAt: instant)
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
        _ = step(.observed(Self.status(.stopped, identifier: nil, at: early)))
        _ = step(.loaded(.success(ClusterView())))
        let begun = step(.wrote(.initialize, .success(.written(5))))
        #expect(begun.contains { if case .perform(.bootstrap, _, _) = $0 { true } else { false } })
        let done = step(.performed(plan: 1, .success(.done)))
        #expect(done.contains { if case .observe = $0 { true } else { false } })
        let late = step(.observed(Self.status(.initializing, identifier: nil, at: early)))
        #expect(!late.contains { if case .exit = $0 { true } else { false } })
        let told = step(.observed(Self.status(.running, identifier: "7400000000000000001", at: now)))
        let writes = told.compactMap { effect -> String? in
            if case .write(.initialize, let value, .unchanged(since: 5), .bootstrapInitialize, _) = effect {
                value
            } else {
                nil
            }
        }
        #expect(writes == ["7400000000000000001"])
        // A probe's refresh may bring another observation before the store has answered.
        let again = step(.observed(Self.status(.running, identifier: "7400000000000000001", at: now)))
        let repeated = again.contains { effect in
            switch effect {
            case .write, .delete, .exit: true
            default: false
            }
        }
        #expect(!repeated)
    }
}

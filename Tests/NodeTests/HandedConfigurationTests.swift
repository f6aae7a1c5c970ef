import ClusterModel
import HighAvailability
import Ports
import Testing

@testable import Node

/// A configuration that comes while a plan runs.
@Suite struct HandedConfigurationTests {
    private func adopted(_ effects: [CycleEffect]) -> [JSONObject] {
        effects.compactMap { if case .node(.adoptConfiguration(let document)) = $0 { document } else { nil } }
    }

    private static let failed = Result<OperationResult, PostgreSQLError>.failure(.failed("no"))

    /// A start that fails because of a parameter does so until the corrected one is there.
    @Test(arguments: [.success(.done), .success(.stillStarting), failed])
    func isGivenToPostgreSQLAtThePlansEnd(_ result: Result<OperationResult, PostgreSQLError>) throws {
        var bed = CommandTests.Bed.ready()
        let request = try RestartRequest(body: [:], DynamicConfiguration(), wallTime: CommandTests.wall)
        _ = bed.step(.commanded(1, .restart(request)))
        let plan = try #require(bed.machine.progress?.number)
        _ = bed.step(.woken("test"))
        var view = bed.view()
        view.config = ConfigRecord(data: ["ttl": 40], revision: 4)
        let early = bed.step(.store(.loaded(.success(view)))) + bed.step(.node(.observed(bed.status())))
        #expect(adopted(early) == [])
        #expect(adopted(bed.restartStops()) == [])
        let late = bed.step(.node(.performed(plan: plan, result)))
        #expect(adopted(late) == [["ttl": 40]])
    }
}

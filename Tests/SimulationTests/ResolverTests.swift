import Simulation
import Testing

/// Both resolvers by exhaustion: `scripts/simulate --resolvers 5` visits what takes longer.
@Suite struct ResolverTests {
    static let all: [ResolverWorld.Rules] = [
        .init(nodes: 2), .init(nodes: 3, modes: [.quorum]), .init(nodes: 3, modes: [.priority]),
        .init(nodes: 3), .init(nodes: 3, isStrict: true),
    ]

    @Test(arguments: all) func whoMayWinHasWhatMayBeAcknowledged(_ rules: ResolverWorld.Rules) {
        let found = ResolverWorld.explore(rules)
        #expect(found.broken == nil)
        #expect(found.states > 10)
        print("resolvers: \(rules): \(found.states) states")
    }

    /// The test of the tester.
    @Test(arguments: [ResolverWorld.Rules.Slip.namesBeforeVotes, .receiptNotAwaited])
    func aSlipIsFound(_ slip: ResolverWorld.Rules.Slip) {
        let found = ResolverWorld.explore(.init(nodes: 4, modes: [.quorum], slip: slip))
        #expect(found.broken != nil)
    }
}

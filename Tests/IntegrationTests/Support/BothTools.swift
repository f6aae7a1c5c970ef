import Testing

/// Our tool and Patroni's with the configuration of one node.
struct BothTools {
    let ours: OperatorTool
    let peer: OperatorTool

    init(_ cluster: TestCluster) {
        (ours, peer) = (cluster.tool(), cluster.tool(.peer))
    }

    /// Both say the same, as soon as the cluster has come to rest.
    func alike(_ words: String..., input: String = "", at line: SourceLocation = #_sourceLocation) async throws {
        try await alike(words, input: input, at: line)
    }

    func alike(_ words: [String], input: String = "", at line: SourceLocation = #_sourceLocation) async throws {
        var difference = ""
        for _ in 1...20 {
            let mine = try await ours.run(words, input: input)
            let theirs = try await peer.run(words, input: input)
            // What tells the time tells another one where a second has passed between the two.
            let time = #/[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}/#
            let (left, right) = (mine.output.replacing(time, with: "TIME"), theirs.output.replacing(time, with: "TIME"))
            if mine.code == theirs.code, left == right { return }
            difference = "\(words): \(mine.code) \(mine.output)\(mine.errors) != \(theirs.code) \(theirs.output)"
        }
        Issue.record("\(difference)", sourceLocation: line)
    }

    /// One does it, and says so.
    func done(
        _ tool: KeyPath<BothTools, OperatorTool>, _ words: String..., says text: String,
        at line: SourceLocation = #_sourceLocation
    ) async throws {
        let outcome = try await self[keyPath: tool].run(words)
        #expect(outcome.code == 0 && outcome.output.contains(text), "\(words): \(outcome)", sourceLocation: line)
    }
}

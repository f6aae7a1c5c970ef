import Testing

/// Every one of `ids` is on `node`.
func expectRows(_ ids: [Int], in cluster: TestCluster, on node: Int) async throws {
    let present = Set(try await cluster.sql(node, "SELECT id FROM written").compactMap { $0.first ?? nil })
    let missing = ids.filter { !present.contains(String($0)) }
    #expect(missing.isEmpty, "\(missing.count) of \(ids.count) rows are lost: \(missing.prefix(10))")
}

/// All nodes come to have the leader's rows.
func expectSameRows(_ cluster: TestCluster, leader: Int) async throws {
    let digest = "SELECT count(*) || ' ' || coalesce(sum(id), 0) FROM written"
    let expected = await cluster.value(leader, digest)
    for node in cluster.nodes {
        try await waitUntil("\(cluster.name(node)) has the leader's rows", within: 20) {
            await cluster.value(node, digest) == expected
        }
    }
}

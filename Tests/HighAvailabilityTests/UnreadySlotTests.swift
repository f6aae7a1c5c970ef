import ClusterModel
import HighAvailability
import Testing

/// What a standby tells of logical slots that a promotion would break.
@Suite struct UnreadySlotTests {
    typealias Rules = SlotRuleTests

    /// Readers of logical slots would lose changes, where one is not here, or its copy is not known to be safe.
    @Test(
        arguments: [
            ([], ["l": 600], ["l"]), ([], [:], []), ([Rules.copy(ready: false)], ["l": 500], ["l"]),
            ([Rules.copy()], ["l": 500], []),
        ] as [([Rules.Slot], [String: UInt64], [String])])
    func whatIsNotReadyIsPublished(_ slots: [Rules.Slot], _ published: [String: UInt64], _ expected: [String]) {
        var local = Scene.standby()
        local.facts?.slots = slots + [Rules.n2]
        let me = NodeIdentity(name: "n1")
        let settings = DynamicConfiguration(document: Rules.logical) ?? DynamicConfiguration()
        let unready = slotRule(me, Rules.published(published), settings, local).unready
        #expect(unready == expected)
        let addresses = MemberKey.Addresses(connectionURL: "", apiURL: "", version: "4.1.5")
        let key = MemberKey.value(
            addresses, me, role: .replica, local: local, settings: settings, checkpointPending: false,
            leaderTimeline: nil, unreadySlots: unready)
        #expect(Member(name: "n1", data: key).unreadySlots == expected)
        #expect(expected.isEmpty == (key["slots_not_ready"] == nil))
    }
}

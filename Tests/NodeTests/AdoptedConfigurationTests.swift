import ClusterModel
import Testing

@testable import Node

/// The dynamic configuration, and who is given it when.
@Suite struct AdoptedConfigurationTests {
    private static func config(_ document: JSONObject, _ revision: Revision, isValid: Bool = true) -> ConfigRecord {
        ConfigRecord(data: document, isValid: isValid, revision: revision)
    }

    struct Row: Sendable {
        let what: String
        let config: ConfigRecord?
        let expected: AdoptedConfiguration.News
    }

    static let rows = [
        Row(what: "no /config", config: nil, expected: .nothing),
        Row(what: "what is no object", config: config([:], 2, isValid: false), expected: .nothing),
        Row(what: "an empty one", config: config([:], 2), expected: .nothing),
        Row(what: "the same again", config: config(["ttl": 30], 2), expected: .nothing),
        Row(what: "of the revision that was read", config: config(["ttl": 60], 1), expected: .nothing),
        Row(what: "a ttl that is no number", config: config(["ttl": "x"], 2), expected: .unfit),
        Row(what: "another one", config: config(["ttl": 60], 2), expected: .adopted(warnings: [])),
    ]

    @Test(arguments: rows)
    func reading(row: Row) {
        var configuration = AdoptedConfiguration(document: ["ttl": 30])
        let news = [configuration.read(Self.config(["ttl": 30], 1)), configuration.read(row.config)]
        #expect(news == [.nothing, row.expected], "\(row.what)")
        let isAdopted = if case .adopted = row.expected { true } else { false }
        #expect(configuration.settings.timings.ttl == .seconds(isAdopted ? 60 : 30), "\(row.what)")
    }

    @Test func aStoreThatBeganAnotherLifeIsReadAgain() {
        var configuration = AdoptedConfiguration(document: ["ttl": 30])
        let news = [configuration.read(Self.config(["ttl": 60], 1)), configuration.read(Self.config(["ttl": 30], 1))]
        configuration.forgetRevision()
        let again = configuration.read(Self.config(["ttl": 30], 1))
        #expect(news == [.adopted(warnings: []), .nothing] && again == .adopted(warnings: []))
    }

    @Test func whatWasAdjustedOfTheTimesIsSaidOnce() throws {
        var configuration = AdoptedConfiguration(document: ["ttl": 30])
        let tight: JSONObject = ["ttl": 30, "loop_wait": 20, "retry_timeout": 20]
        let short = configuration.read(Self.config(tight, 1))
        #expect(short != .adopted(warnings: []) && short != .nothing)
        var more = tight
        more["pause"] = true
        let same = configuration.read(Self.config(more, 2))
        #expect(same == .adopted(warnings: []))
    }

    @Test func aMemberThatRunsPatroniRaisesTheTTL() {
        var configuration = AdoptedConfiguration(document: ["ttl": 5])
        var changes: [Bool] = []
        var lengths: [Duration] = []
        for isShared in [false, true, true, false] {
            changes.append(configuration.share(isShared) != nil)
            lengths.append(configuration.settings.timings.ttl)
        }
        #expect(changes == [false, true, false, true])
        #expect(lengths == [.seconds(5), .seconds(20), .seconds(20), .seconds(5)])
    }

    @Test func aPlanIsNotDisturbed() {
        var configuration = AdoptedConfiguration(document: [:])
        let handed = [1, 2].map { configuration.hand(["a": .int($0)], duringPlan: true) }
        let waited = [configuration.takeWaiting(), configuration.takeWaiting()]
        #expect(handed == [nil, nil] && waited == [["a": 2], nil])
        let late = configuration.hand(["a": 3], duringPlan: true)
        let atOnce = configuration.hand(["a": 4], duringPlan: false)
        let overtaken = configuration.takeWaiting()
        #expect(late == nil && atOnce == ["a": 4] && overtaken == nil, "what was overtaken is not given afterwards")
    }

    @Test func theCacheIsGivenEachDocumentOnce() {
        var configuration = AdoptedConfiguration(document: [:])
        let empty = configuration.takeUncached()
        configuration.settings = DynamicConfiguration(document: ["ttl": 60]) ?? DynamicConfiguration()
        let cached = [configuration.takeUncached(), configuration.takeUncached()]
        #expect(empty == nil && cached == [["ttl": 60], nil])
    }
}

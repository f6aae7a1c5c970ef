/// What the rewritten files call. The mutant that is alive is chosen by MATRIARCH_MUTANT when the program starts; none
/// where it is not set.
enum Switches {
    /// The switch for what a function of this type returns.
    static let names = [
        "Bool": "mutantFlips", "Decision": "mutantWaits", "Decision?": "mutantGivesNil", "Plan?": "mutantGivesNil",
        "Action?": "mutantGivesNil", "Candidacy": "mutantStandsDown", "[SlotAction]": "mutantGivesNothing",
    ]

    static let text = """
        import Glibc

        private let aliveMutant: Int = getenv("MATRIARCH_MUTANT").flatMap { Int(String(cString: $0)) } ?? 0

        @inline(never) public func mutantSkips(_ number: Int) -> Bool { number == aliveMutant }

        @inline(never) public func mutantFlips(_ number: Int, _ value: Bool) -> Bool {
            number == aliveMutant ? !value : value
        }

        public func mutantGivesNothing<Element>(_ number: Int, _ value: [Element]) -> [Element] {
            mutantSkips(number) ? [] : value
        }

        public func mutantGivesNil<Value>(_ number: Int, _ value: Value?) -> Value? {
            mutantSkips(number) ? nil : value
        }

        """

    static let decisions = """
        import ClusterModel

        func mutantWaits(_ number: Int, _ value: Decision) -> Decision {
            mutantSkips(number) ? Decision(.wait, value.reasons) : value
        }

        func mutantStandsDown(_ number: Int, _ value: Candidacy) -> Candidacy {
            mutantSkips(number) ? .no([]) : value
        }

        """
}

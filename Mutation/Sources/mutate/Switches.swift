/// What the rewritten files call. The mutant that is alive is chosen by MATRIARCH_MUTANT when the program starts; none
/// where it is not set.
enum Switches {
    /// The switch for what a function of this type returns; nil where there is none.
    static func name(_ type: String) -> String? {
        switch type {
        case "Bool": "mutantFlips"
        case "Decision": "mutantWaits"
        case "Candidacy": "mutantStandsDown"
        // Of a closure it is not written.
        case "?": nil
        case _ where type.contains("->"): nil
        case _ where type.hasSuffix("?"): "mutantGivesNil"
        case _ where isList(type): "mutantGivesNothing"
        default: nil
        }
    }

    /// An array or a dictionary.
    static func isList(_ type: String) -> Bool { type.hasPrefix("[") && type.hasSuffix("]") }

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

        public func mutantGivesNothing<Key, Value>(_ number: Int, _ value: [Key: Value]) -> [Key: Value] {
            mutantSkips(number) ? [:] : value
        }

        public func mutantJoins<Element>(_ number: Int, _ first: [Element], _ second: [Element]) -> [Element] {
            mutantSkips(number) ? second + first : first + second
        }

        public func mutantMin<Value: Comparable>(_ number: Int, _ left: Value, _ right: Value) -> Value {
            mutantSkips(number) ? max(left, right) : min(left, right)
        }

        public func mutantMax<Value: Comparable>(_ number: Int, _ left: Value, _ right: Value) -> Value {
            mutantSkips(number) ? min(left, right) : max(left, right)
        }

        public func mutantGivesNil<Value>(_ number: Int, _ value: Value?) -> Value? {
            mutantSkips(number) ? nil : value
        }

        """

    static let decisions = """
        import ClusterModel

        public func mutantWaits(_ number: Int, _ value: Decision) -> Decision {
            mutantSkips(number) ? Decision(.wait, value.reasons) : value
        }

        func mutantStandsDown(_ number: Int, _ value: Candidacy) -> Candidacy {
            mutantSkips(number) ? .no([]) : value
        }

        """
}

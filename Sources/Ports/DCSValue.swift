public import ClusterModel

/// What stands in a key of the store. Who speaks with a store says what he means; how a document is spelt, and what of
/// a text is one, is the business of each store.
public enum DCSValue: Sendable, Hashable {
    /// As it is: `/leader` and `/initialize`, and what is no document.
    case text(String)
    case document(JSONValue)

    /// A document that is an object.
    public static func object(_ object: JSONObject) -> DCSValue { .document(.object(object)) }

    /// Nil for everything else.
    public var object: JSONObject? { if case .document(let value) = self { value.object } else { nil } }
}

public import ClusterModel

/// Who is asked before a dynamic configuration goes into the store. The API itself knows none of its keys.
public struct ConfigurationRules: Sendable {
    public typealias Judge = @Sendable (_ document: JSONObject, _ present: JSONObject) -> DynamicDocumentRules.Judgement
    public typealias Trial = @Sendable (JSONObject) async -> [DynamicDocumentRules.Objection]

    /// What no node could use.
    let judge: Judge
    /// What the PostgreSQL beside this node would not start with.
    let trial: Trial

    public init(
        judge: @escaping Judge = { document, present in
            DynamicDocumentRules.Judgement(
                objections: DynamicDocumentRules.objections(to: document, inPlaceOf: present), remarks: [])
        }, trial: @escaping Trial = { _ in [] }
    ) {
        self.judge = judge
        self.trial = trial
    }
}

public import ClusterModel

/// What speaks against a dynamic configuration before it goes into the store: each key with its reason. Pure; what only
/// the PostgreSQL at hand can say is asked of it.
public enum DynamicCheck {
    /// Judges `document`. What stands in `present` already is no reason: it must be possible to change something else,
    /// and to take it back.
    public static func judge(_ document: JSONObject, inPlaceOf present: JSONObject) -> DynamicDocumentRules.Judgement {
        let found =
            DynamicDocumentRules.objections(to: document, inPlaceOf: present) + objections(to: document, present)
        // The first reason of a key is the nearest.
        var named: Set<String> = []
        let known = Set(SettingTable.remarks(onDynamic: present).map(\.path))
        let remarks = SettingTable.remarks(onDynamic: document).filter { !known.contains($0.path) }
        return DynamicDocumentRules.Judgement(
            objections: found.filter { named.insert($0.key).inserted },
            remarks: remarks.map { path, remark in
                let (path, text) = remark.told(at: path)
                return "\(path): \(text)"
            })
    }

    /// Values that their keys do not take, of those that are not `present` already.
    static func objections(
        to document: JSONObject, _ present: JSONObject = JSONObject()
    ) -> [DynamicDocumentRules.Objection] {
        SettingTable.keys.filter { $0.level != .local && !$0.path.contains("<") }
            .flatMap { objections($0, document, present) }
    }

    private static func objections(
        _ key: SettingKey, _ document: JSONObject, _ present: JSONObject
    ) -> [DynamicDocumentRules.Objection] {
        let path = SettingPath(dotted: key.path)
        guard let value = document.value(at: path), value != present.value(at: path) else { return [] }
        // A time without a value would make the whole document unfit (configuration.md §4.2).
        if value.isNull, key.kind != .seconds { return [] }
        if key.path == "postgresql.parameters", let parameters = value.object {
            return check(parameters, present.value(at: path)?.object ?? JSONObject())
        }
        if key.kind.takes(value) { return [] }
        return [objection(path, value, key.allowed)]
    }

    private static func check(
        _ parameters: JSONObject, _ present: JSONObject
    ) -> [DynamicDocumentRules.Objection] {
        parameters.members.compactMap { member in
            if member.value.isNull || member.value == present[member.key] { return nil }
            let path = SettingPath(["postgresql", "parameters", member.key])
            if member.value.array != nil || member.value.object != nil {
                return objection(path, member.value, "a text, a number or a boolean")
            }
            guard let parameter = ControlledParameters.parameter(member.key) else { return nil }
            // What follows from other settings is dropped by every node, as Patroni does.
            if case .derived = parameter.check { return nil }
            if ControlledParameters.accepted(member.value, for: parameter) != nil { return nil }
            return objection(path, member.value, parameter.check.allowed)
        }
    }

    private static func objection(
        _ path: SettingPath, _ value: JSONValue, _ allowed: String
    ) -> DynamicDocumentRules.Objection {
        let found =
            Secrets.isSecret(path.elements)
            ? "something else" : SettingReader.shown(value, as: SettingTable.key(at: path)?.kind)
        return DynamicDocumentRules.Objection(key: path.description, reason: "found \(found), allowed is \(allowed)")
    }
}

extension JSONObject {
    fileprivate func value(at path: SettingPath) -> JSONValue? {
        path.elements.reduce(JSONValue.object(self)) { value, key in value?[key] }
    }
}

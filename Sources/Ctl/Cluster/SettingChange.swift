import ClusterModel
import Configuration

/// `postgresql.parameters.work_mem=8MB`: one change of the dynamic configuration (ctl.md §12).
struct SettingChange: Sendable, Hashable {
    let path: [String]
    /// Null to remove it.
    let value: JSONValue

    init(_ pair: String) throws(CtlError) {
        guard let cut = pair.utf8.firstIndex(of: UInt8(ascii: "=")) else {
            throw .refused("Invalid parameter setting \(pair)")
        }
        path = Self.path(String(pair[..<cut]))
        do throws(YAMLError) {
            value = try YAML.parse(String(pair[cut...].dropFirst())).value
        } catch {
            throw .refused("Invalid parameter setting \(pair): \(error)")
        }
    }

    private static let parametersPrefix = "postgresql.parameters."

    /// Names of parameters may have dots in them.
    private static func path(_ text: String) -> [String] {
        if text.hasPrefix(parametersPrefix) {
            return ["postgresql", "parameters", String(text.dropFirst(parametersPrefix.count))]
        }
        return text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    }

    /// Sections on the way are made, also in the place of what is none; those that become empty go.
    func apply(to document: inout JSONObject) { Self.set(&document, path[...], value) }

    private static func set(_ object: inout JSONObject, _ path: ArraySlice<String>, _ value: JSONValue) {
        guard let key = path.first else { return }
        if path.count == 1 {
            object[key] = value.isNull ? nil : value
            return
        }
        if value.isNull, object[key]?.object == nil { return }
        object.change(key) { section in
            var child = section?.object ?? JSONObject()
            section = nil
            set(&child, path.dropFirst(), value)
            section = child.isEmpty ? nil : .object(child)
        }
    }
}

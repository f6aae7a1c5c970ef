import ClusterModel

/// A tree of settings and the origin of every key and item of it.
struct OriginatedTree: Sendable, Hashable {
    private(set) var root = JSONObject()
    private(set) var origins: [SettingPath: SettingOrigin] = [:]

    init() {}

    /// A tree that came from one place as a whole.
    init(_ root: JSONObject, origin: (SettingPath) -> SettingOrigin?) {
        self.root = root
        visit(.object(root), SettingPath()) { path, _ in origins[path] = origin(path) }
    }

    /// Merges `patch` into the tree (configuration.md §1.3). A value that stays keeps its origin.
    mutating func apply(patch: OriginatedTree) {
        let before = root
        root.apply(patch: patch.root)
        origins = origins.filter { OriginatedTree.value(at: $0.key, in: root) != nil }
        for (path, origin) in patch.origins {
            let now = OriginatedTree.value(at: path, in: root)
            guard let now, now == OriginatedTree.value(at: path, in: patch.root) else { continue }
            let old = OriginatedTree.value(at: path, in: before)
            if old == nil || origins[path] == nil || old != now { origins[path] = origin }
        }
    }

    func value(at path: SettingPath) -> JSONValue? { OriginatedTree.value(at: path, in: root) }

    /// The origin of the key, or of the nearest section above it.
    func origin(of path: SettingPath) -> SettingOrigin? {
        var elements = path.elements[...]
        while !elements.isEmpty {
            if let origin = origins[SettingPath(Array(elements))] { return origin }
            elements = elements.dropLast()
        }
        return nil
    }

    /// Sets or, with nil, removes the value at `path` with everything under it; the sections above it are made.
    mutating func set(_ path: SettingPath, _ value: JSONValue?, from source: OriginatedTree? = nil) {
        // What stood there says which origins go: looking through all of them would take as long as the whole tree.
        if let old = self.value(at: path) {
            origins[path] = nil
            visit(old, path) { path, _ in origins[path] = nil }
        }
        OriginatedTree.set(&root, path.elements[...], value)
        guard let value else { return }
        visit(value, path) { path, _ in origins[path] = source?.origins[path] }
        origins[path] = source?.origin(of: path) ?? .byDefault
    }

    /// Sets a value that came from one place.
    mutating func set(_ path: SettingPath, _ value: JSONValue, origin: SettingOrigin) {
        set(path, value)
        origins[path] = origin
        visit(value, path) { path, _ in origins[path] = origin }
    }

    /// Where a text holds a NUL, or a key does: then the path ends above it.
    var pathsWithNUL: [SettingPath] {
        var found: [SettingPath] = []
        visit(.object(root), SettingPath()) { path, value in
            if path.elements.last?.hasByte("\0") == true {
                found.append(SettingPath(Array(path.elements.dropLast())))
            } else if value.string?.hasByte("\0") == true {
                found.append(path)
            }
        }
        return found
    }

    private static func set(_ object: inout JSONObject, _ path: ArraySlice<String>, _ value: JSONValue?) {
        guard let key = path.first else { return }
        if path.count == 1 {
            object[key] = value
            return
        }
        object.change(key) { section in
            var child = section?.object ?? JSONObject()
            section = nil
            set(&child, path.dropFirst(), value)
            section = .object(child)
        }
    }

    static func value(at path: SettingPath, in root: JSONObject) -> JSONValue? {
        var value = JSONValue.object(root)
        for element in path.elements {
            switch value {
            case .object(let object):
                guard let next = object[element] else { return nil }
                value = next
            case .array(let items):
                guard let index = Int(element), items.indices.contains(index) else { return nil }
                value = items[index]
            case .null, .bool, .int, .double, .string: return nil
            }
        }
        return value
    }
}

/// Calls `body` for every key and item under `value`, the path of each with it.
func visit(_ value: JSONValue, _ path: SettingPath, _ body: (SettingPath, JSONValue) -> Void) {
    switch value {
    case .object(let object):
        for member in object.members {
            let path = path.appending(member.key)
            body(path, member.value)
            visit(member.value, path, body)
        }
    case .array(let items):
        for (index, item) in items.enumerated() {
            let path = path.appending(String(index))
            body(path, item)
            visit(item, path, body)
        }
    case .null, .bool, .int, .double, .string: break
    }
}

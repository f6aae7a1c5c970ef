import ClusterModel

extension EffectiveConfiguration {
    /// Values of `bootstrap.dcs` that no node takes: in a cluster that begins with them the defaults hold. That ends no
    /// start, as with Patroni: where the cluster is there already nobody reads them.
    public var bootstrapProblems: [ConfigurationProblem] {
        guard let document = bootstrap?.dynamicConfiguration else { return [] }
        return DynamicCheck.objections(to: document).map { objection in
            let path = SettingPath(dotted: "bootstrap.dcs.\(objection.key)")
            return ConfigurationProblem(path, objection.reason, nearestOrigin(path))
        }
    }

    /// The parameters of PostgreSQL that a program with these (in lower case) does not have, each where it is set.
    /// Names with a point are those of extensions, and what we control is written as the version has it.
    public func parameters(otherThan known: Set<String>) -> [ConfigurationProblem] {
        [["bootstrap", "dcs", "postgresql", "parameters"], ["postgresql", "parameters"]].flatMap { elements in
            let section = SettingPath(elements)
            let names = merged.value(at: section)?.object?.keys ?? []
            return names.compactMap { name -> ConfigurationProblem? in
                let place = section.appending(name)
                guard !name.contains("."), !known.contains(name.lowercased()),
                    ControlledParameters.parameter(name) == nil,
                    let origin = merged.origin(of: place), origin != .dynamic
                else { return nil }
                return ConfigurationProblem(
                    place, "is no parameter of this version of PostgreSQL: it is left out", origin)
            }
        }
    }

    /// Of the value itself, or of the section that it stands in: names of parameters hold points.
    private func nearestOrigin(_ path: SettingPath) -> SettingOrigin? {
        var elements = path.elements
        while !elements.isEmpty {
            if let origin = origin(of: elements.joined(separator: ".")) { return origin }
            elements.removeLast()
        }
        return nil
    }
}

import ClusterModel

extension EffectiveConfiguration {
    /// Values of `bootstrap.dcs` that no node takes: in a cluster that begins with them the defaults hold. That ends no
    /// start, as with the peer: where the cluster is there already nobody reads them.
    public var bootstrapProblems: [ConfigurationProblem] {
        guard let document = bootstrap?.dynamicConfiguration else { return [] }
        return DynamicCheck.objections(to: document).map { objection in
            let path = SettingPath(dotted: "bootstrap.dcs.\(objection.key)")
            return ConfigurationProblem(path, objection.reason, nearestOrigin(path))
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

use super::*;

/// A triangle as JSON around a binary file of its own; `change` edits the JSON.
fn triangle(change: impl Fn(String) -> String) -> Result<Model, SceneError> {
    let dir = tempfile::tempdir().unwrap();
    let points: [f32; 9] = [0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 2.0, 0.0];
    let mut bytes: Vec<u8> = points.iter().flat_map(|v| v.to_le_bytes()).collect();
    bytes.extend([0u16, 1, 2, 0].iter().flat_map(|v| v.to_le_bytes()));
    std::fs::write(dir.path().join("a.bin"), &bytes).unwrap();
    let json = r#"{"asset":{"version":"2.0"},"scene":0,"scenes":[{"nodes":[0]}],
        "nodes":[{"mesh":0,"translation":[5,0,0]}],
        "meshes":[{"primitives":[{"attributes":{"POSITION":0},"indices":1}]}],
        "accessors":[
            {"bufferView":0,"componentType":5126,"count":3,"type":"VEC3","min":[0,0,0],"max":[2,2,0]},
            {"bufferView":1,"componentType":5123,"count":3,"type":"SCALAR"}],
        "bufferViews":[{"buffer":0,"byteLength":36},{"buffer":0,"byteOffset":36,"byteLength":8}],
        "buffers":[{"byteLength":44,"uri":"a.bin"}]}"#;
    std::fs::write(dir.path().join("a.gltf"), change(json.to_owned())).unwrap();
    load(dir.path(), "a.gltf")
}

fn with(from: &'static str, to: &'static str) -> Result<Model, SceneError> {
    triangle(|json| {
        assert!(json.contains(from));
        json.replace(from, to)
    })
}

#[test]
fn a_triangle_is_placed_by_its_node_and_gets_what_it_lacks() {
    let model = triangle(|json| json).unwrap();
    let part = &model.parts[0];
    assert_eq!(part.indices, [0, 1, 2]);
    assert_eq!(part.vertices[1].position, [7.0, 0.0, 0.0]);
    assert_eq!((part.vertices[0].normal, part.vertices[0].colour), ([0.0, 0.0, 1.0], [255; 4]));
    assert_eq!((model.low, model.high), (Vec3::new(5.0, 0.0, 0.0), Vec3::new(7.0, 2.0, 0.0)));
}

#[test]
fn equal_vertices_become_one() {
    let model = with(
        r#"[{"attributes":{"POSITION":0},"indices":1}]"#,
        r#"[{"attributes":{"POSITION":0},"indices":1},{"attributes":{"POSITION":0}}]"#,
    )
    .unwrap();
    assert_eq!((model.parts[0].vertices.len(), model.parts[0].indices.len()), (3, 6));
}

#[test]
fn a_mirroring_node_keeps_faces_outside() {
    let model = with(r#""translation":[5,0,0]"#, r#""scale":[-1,1,1]"#).unwrap();
    assert_eq!(model.parts[0].indices, [0, 2, 1]);
}

#[test]
fn files_outside_the_folder_are_refused() {
    for uri in ["../a.bin", "/etc/passwd", "https://example.org/a.bin", "data:,x", "%2e%2e/a.bin", ""] {
        let result = triangle(|json| json.replace("a.bin", uri));
        assert!(matches!(result, Err(SceneError::Outside(_) | SceneError::Read { .. })), "{uri:?}");
    }
    assert!(matches!(load(Path::new("."), "../x.glb"), Err(SceneError::Outside(_))));
}

#[test]
fn ranges_types_and_indices_that_do_not_fit_are_refused() {
    let wrong_range = with(r#""byteLength":36"#, r#""byteLength":360"#);
    assert!(matches!(wrong_range, Err(SceneError::Range { what: "buffer view", index: 0 })));
    let too_many = with(r#""count":3,"type":"VEC3""#, r#""count":400000000000,"type":"VEC3""#);
    assert!(matches!(too_many, Err(SceneError::Range { what: "accessor", index: 0 })));
    let none = with(r#""count":3,"type":"SCALAR""#, r#""count":0,"type":"SCALAR""#);
    assert!(matches!(none, Err(SceneError::Range { .. } | SceneError::Format(_))));
    let wrong_type = with(r#""componentType":5123"#, r#""componentType":5126"#);
    assert!(matches!(
        wrong_type,
        Err(SceneError::Type(1) | SceneError::Range { .. } | SceneError::Format(_))
    ));
    let far_indices = with(r#""byteOffset":36,"byteLength":8"#, r#""byteOffset":12,"byteLength":8"#);
    assert!(matches!(far_indices, Err(SceneError::Unsupported(_))), "2.0 as two u16 is no index");
}

#[test]
fn rubbish_is_refused_and_never_panics() {
    for text in ["", "{", "glTF", "{\"asset\":{\"version\":\"2.0\"}}"] {
        assert!(triangle(|_| text.to_owned()).is_err(), "{text:?}");
    }
    let mut cut =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../titles/scene/scene.glb")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        cut.truncate(cut.len() * 3 / 4);
        std::fs::write(dir.path().join("a.glb"), &cut).unwrap();
        assert!(load(dir.path(), "a.glb").is_err());
    }
}

#[test]
fn a_ring_of_nodes_is_refused() {
    let ring = with(r#""translation":[5,0,0]"#, r#""children":[0]"#);
    assert!(matches!(ring, Err(SceneError::Limit(_) | SceneError::Format(_))));
}

#[test]
fn the_shipped_scene_is_small_and_uses_several_materials() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../titles/scene");
    let model = load(&dir, "scene.glb").unwrap();
    assert!(std::fs::metadata(dir.join("scene.glb")).unwrap().len() < 1 << 20);
    let any = |test: fn(&Material) -> bool| model.parts.iter().any(|part| test(&part.material));
    assert!(any(|m| m.metallic > 0.8) && any(|m| m.emissive[0] > 0.5) && any(|m| m.maps.normal.is_some()));
    assert!(model.parts.len() >= 6);
}

// Lit low-poly shapes. Bindings: title_meteor_frame.wgsl. Vertex buffer 0: Corner; vertex buffer 1, per
// instance: Solid. Light is computed linearly; the result is encoded with a gamma of 2.

struct Corner {
    @location(0) position: vec3<f32>,
    @location(1) normal: vec3<f32>,
    @location(2) colour: vec4<f32>,
    @location(3) place: vec4<f32>,
    @location(4) turn: vec4<f32>,
    @location(5) tint: vec4<f32>,
}

struct Lit {
    @builtin(position) position: vec4<f32>,
    @location(0) colour: vec3<f32>,
}

const KEY = vec3<f32>(-0.40, 0.80, -0.45);
const SUN = vec3<f32>(0.0, 0.33, 0.94);

fn turned(turn: vec4<f32>, v: vec3<f32>) -> vec3<f32> {
    return v + 2.0 * cross(turn.xyz, cross(turn.xyz, v) + turn.w * v);
}

// Faces are flat, so that the light of a corner is the light of its face: all work is done here.
@vertex
fn solid_vertex(corner: Corner) -> Lit {
    let world = turned(corner.turn, corner.position) * corner.place.w + corner.place.xyz;
    let normal = turned(corner.turn, corner.normal);
    let to_eye = normalize(frame.eye.xyz - world);
    let albedo = corner.colour.rgb * corner.tint.rgb;
    let key = max(dot(normal, KEY), 0.0) * vec3<f32>(0.88, 0.92, 1.10);
    let sun = max(dot(normal, SUN), 0.0) * vec3<f32>(1.7, 0.55, 0.30);
    let ambient = vec3<f32>(0.05, 0.04, 0.11) + max(-normal.y, 0.0) * vec3<f32>(0.05, 0.10, 0.26);
    let edge = 1.0 - max(dot(normal, to_eye), 0.0);
    let rim = edge * edge * edge * vec3<f32>(0.75, 0.25, 0.45);
    let gloss = pow(max(dot(normal, normalize(KEY + to_eye)), 0.0), 24.0) * 0.12;
    let own = corner.tint.rgb * (corner.tint.w + corner.colour.w) * (0.4 + 0.6 * corner.colour.rgb);
    let light = albedo * (key + sun + ambient) + rim * 0.6 + gloss + own;
    let far = clamp((world.z - 34.0) / 40.0, 0.0, 0.8);
    let encoded = mix(sqrt(light), HAZE + vec3<f32>(0.12, 0.05, 0.08), far * far);
    return Lit(frame.projection * vec4<f32>(world, 1.0), encoded);
}

@fragment
fn solid_fragment(lit: Lit) -> @location(0) vec4<f32> {
    return vec4<f32>(lit.colour, 1.0);
}

// A glTF scene: metallic-roughness shading (glTF 2.0 appendix B) with one sun, its shadow, and an
// analytic evening sky.
//
// group 0: binding 0 uniform Frame · binding 1 texture_2d<f32> shadow (depth), SHADOW_PX square. The
// shadow pass binds only binding 0.
// group 1: binding 0 uniform Material · 1 base colour · 2 metal (b) and rough (g) · 3 normal ·
// 4 occlusion (r) · 5 emissive · 6 sampler.
// Vertex buffer 0: Vertex. The target takes sRGB-encoded values.

struct Frame {
    projection: mat4x4<f32>,
    // World to the sun's clip space.
    sun_projection: mat4x4<f32>,
    eye: vec4<f32>,
    // Camera right and up, scaled to the edge of the picture, and forward.
    right: vec4<f32>,
    up: vec4<f32>,
    forward: vec4<f32>,
}

struct Material {
    base: vec4<f32>,
    // Emissive; w: alpha cutoff, 0 where nothing is cut.
    emissive: vec4<f32>,
    // Metallic, roughness, normal scale, occlusion strength.
    surface: vec4<f32>,
    // x: 1 with a normal map.
    flags: vec4<f32>,
}

@group(0) @binding(0) var<uniform> frame: Frame;
@group(0) @binding(1) var shadow: texture_2d<f32>;

@group(1) @binding(0) var<uniform> material: Material;
@group(1) @binding(1) var base_map: texture_2d<f32>;
@group(1) @binding(2) var metal_rough_map: texture_2d<f32>;
@group(1) @binding(3) var normal_map: texture_2d<f32>;
@group(1) @binding(4) var occlusion_map: texture_2d<f32>;
@group(1) @binding(5) var emissive_map: texture_2d<f32>;
@group(1) @binding(6) var map_sampler: sampler;

override TEXTURED: bool = true;
override MASKED: bool = false;
// A dielectric this rough has a highlight weaker than one step of the picture: only its colour counts.
override MATT: bool = false;

struct Vertex {
    @location(0) position: vec3<f32>,
    @location(1) normal: vec3<f32>,
    @location(2) tangent: vec4<f32>,
    @location(3) uv: vec2<f32>,
    @location(4) colour: vec4<f32>,
}

struct Surface {
    @builtin(position) position: vec4<f32>,
    @location(0) world: vec3<f32>,
    @location(1) normal: vec3<f32>,
    @location(2) tangent: vec4<f32>,
    @location(3) uv: vec2<f32>,
    @location(4) colour: vec4<f32>,
    // Place in the shadow: px and depth.
    @location(5) in_sun: vec3<f32>,
    // Light from all of the sky; smooth enough to be computed per vertex.
    @location(6) around: vec3<f32>,
}

struct Backdrop {
    @builtin(position) position: vec4<f32>,
    @location(0) colour: vec3<f32>,
}

const SHADOW_PX = 1024.0;
const SUN = vec3<f32>(0.585, 0.420, 0.694);
const SUN_LIGHT = vec3<f32>(3.9, 2.35, 1.35);

// Light from the sky in a direction, linear; rough surfaces see it blurred.
fn sky_light(way: vec3<f32>, rough: f32) -> vec3<f32> {
    let blur = rough * 0.45;
    let rising = smoothstep(-blur, 0.24 + blur, way.y);
    let high = smoothstep(0.10 - blur, 0.75 + blur, way.y);
    let above = smoothstep(-0.20 - blur, 0.02 + blur, way.y);
    let deep = smoothstep(-0.05, 0.9, -way.y);
    let low = mix(vec3<f32>(1.05, 0.47, 0.27), vec3<f32>(0.36, 0.23, 0.42), rising);
    let sky = mix(low, vec3<f32>(0.045, 0.085, 0.27), high);
    let haze = mix(vec3<f32>(0.20, 0.16, 0.27), vec3<f32>(0.035, 0.04, 0.085), deep);
    let towards = max(dot(way, SUN), 0.0);
    let halo = towards * towards * towards * towards;
    return mix(haze, sky, above) + vec3<f32>(0.50, 0.22, 0.08) * halo * (1.0 - rough * 0.7);
}

// Light from all of the sky on a matt face.
fn light_around(normal: vec3<f32>) -> vec3<f32> {
    let sides = mix(vec3<f32>(0.15, 0.12, 0.19), vec3<f32>(0.34, 0.27, 0.44), normal.y * 0.5 + 0.5);
    return sides + vec3<f32>(0.34, 0.17, 0.09) * max(dot(normal, SUN), 0.0);
}

// ACES-like curve that also encodes for the screen.
fn shown(light: vec3<f32>) -> vec3<f32> {
    return clamp(light / (light + 0.155) * 1.019, vec3<f32>(0.0), vec3<f32>(1.0));
}

// The sky is smooth: its light is computed at the corners of a grid of SKY_COLUMNS × SKY_ROWS cells and
// only blended in between. Draw 2 · (SKY_COLUMNS + 1) vertices as a strip, SKY_ROWS instances.
const SKY_COLUMNS = 40u;
const SKY_ROWS = 27u;

@vertex
fn sky_vertex(@builtin(vertex_index) index: u32, @builtin(instance_index) row: u32) -> Backdrop {
    let across = f32(index >> 1u) / f32(SKY_COLUMNS);
    let down = f32(row + (index & 1u)) / f32(SKY_ROWS);
    let clip = vec2<f32>(across * 2.0 - 1.0, 1.0 - down * 2.0);
    let way = normalize(frame.forward.xyz + frame.right.xyz * clip.x + frame.up.xyz * clip.y);
    return Backdrop(vec4<f32>(clip, 1.0, 1.0), shown(sky_light(way, 0.0) * 0.55));
}

@fragment
fn sky_fragment(backdrop: Backdrop) -> @location(0) vec4<f32> {
    return vec4<f32>(backdrop.colour, 1.0);
}

@vertex
fn shadow_vertex(@location(0) position: vec3<f32>) -> @builtin(position) vec4<f32> {
    return frame.sun_projection * vec4<f32>(position, 1.0);
}

@vertex
fn surface_vertex(vertex: Vertex) -> Surface {
    // Along the normal a little, so that a lit face does not shade itself.
    let lifted = vertex.position + vertex.normal * frame.eye.w;
    let in_sun = (frame.sun_projection * vec4<f32>(lifted, 1.0)).xyz;
    return Surface(
        frame.projection * vec4<f32>(vertex.position, 1.0),
        vertex.position,
        vertex.normal,
        vertex.tangent,
        vertex.uv,
        vertex.colour,
        vec3<f32>(vec2<f32>(in_sun.x * 0.5 + 0.5, 0.5 - in_sun.y * 0.5) * SHADOW_PX, in_sun.z),
        light_around(vertex.normal),
    );
}

fn mapped_normal(surface: Surface, normal: vec3<f32>) -> vec3<f32> {
    let bitangent = cross(normal, surface.tangent.xyz) * surface.tangent.w;
    var map = textureSample(normal_map, map_sampler, surface.uv).xyz * 2.0 - 1.0;
    map = vec3<f32>(map.xy * material.surface.z, map.z);
    return normalize(surface.tangent.xyz * map.x + bitangent * map.y + normal * map.z);
}

@fragment
fn surface_fragment(surface: Surface, @builtin(front_facing) front: bool) -> @location(0) vec4<f32> {
    var base = material.base * surface.colour;
    var metal_rough = material.surface.xy;
    var open = 1.0;
    var glow = material.emissive.rgb;
    var normal = normalize(surface.normal);
    if TEXTURED {
        base *= textureSample(base_map, map_sampler, surface.uv);
        metal_rough *= textureSample(metal_rough_map, map_sampler, surface.uv).bg;
        open = 1.0 + material.surface.w * (textureSample(occlusion_map, map_sampler, surface.uv).r - 1.0);
        glow *= textureSample(emissive_map, map_sampler, surface.uv).rgb;
        if material.flags.x > 0.5 {
            normal = mapped_normal(surface, normal);
        }
    }
    if MASKED && base.a < material.emissive.w {
        discard;
    }
    normal = select(-normal, normal, front);
    let to_sun = max(dot(normal, SUN), 0.0);
    let seen = textureLoad(shadow, vec2<i32>(surface.in_sun.xy), 0).r;
    let lit = select(0.0, to_sun, surface.in_sun.z <= seen);
    if MATT {
        let light = SUN_LIGHT * (0.31831 * 0.96 * lit) + surface.around * open;
        return vec4<f32>(shown(base.rgb * light + surface.around * 0.02 + glow), base.a);
    }
    let to_eye = normalize(frame.eye.xyz - surface.world);
    let metal = metal_rough.x;
    let rough = clamp(metal_rough.y, 0.06, 1.0);
    let facing = max(dot(normal, to_eye), 0.001);

    // GGX with the visibility term of Karis 2013.
    let half_way = normalize(SUN + to_eye);
    let cos_half = max(dot(normal, half_way), 0.0);
    let alpha = rough * rough;
    let spread = cos_half * cos_half * (alpha * alpha - 1.0) + 1.0;
    let k = alpha * 0.5;
    let visibility = 0.25 / ((facing * (1.0 - k) + k) * (to_sun * (1.0 - k) + k));
    let specular = alpha * alpha / (3.14159 * spread * spread) * visibility;
    let cos_view = 1.0 - max(dot(half_way, to_eye), 0.0);
    let fifth = cos_view * cos_view * cos_view * cos_view * cos_view;
    let at_rest = mix(vec3<f32>(0.04), base.rgb, metal);
    let fresnel = at_rest + (1.0 - at_rest) * fifth;
    let diffuse = base.rgb * (1.0 - metal);
    let sun = (diffuse * 0.31831 * (1.0 - fresnel) + fresnel * specular) * SUN_LIGHT * lit;

    // Image-based part after Karis 2014: mobile approximation of the preintegrated BRDF.
    let r = rough * vec4<f32>(-1.0, -0.0275, -0.572, 0.022) + vec4<f32>(1.0, 0.0425, 1.04, -0.04);
    let a004 = min(r.x * r.x, exp2(-9.28 * facing)) * r.x + r.y;
    let ab = vec2<f32>(-1.04, 1.04) * a004 + r.zw;
    let mirrored = sky_light(reflect(-to_eye, normal), rough) * (at_rest * ab.x + ab.y);
    let around = diffuse * surface.around;
    return vec4<f32>(shown(sun + (around + mirrored) * open + glow), base.a);
}

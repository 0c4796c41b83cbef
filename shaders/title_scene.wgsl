// A glTF scene: metallic-roughness shading (glTF 2.0 appendix B) with one sun, its shadow, and an
// analytic evening sky.
//
// group 0: binding 0 uniform Frame · binding 1 texture_depth_2d shadow · binding 2 comparison sampler.
// The shadow pass binds only binding 0.
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
@group(0) @binding(1) var shadow: texture_depth_2d;
@group(0) @binding(2) var shadow_sampler: sampler_comparison;

@group(1) @binding(0) var<uniform> material: Material;
@group(1) @binding(1) var base_map: texture_2d<f32>;
@group(1) @binding(2) var metal_rough_map: texture_2d<f32>;
@group(1) @binding(3) var normal_map: texture_2d<f32>;
@group(1) @binding(4) var occlusion_map: texture_2d<f32>;
@group(1) @binding(5) var emissive_map: texture_2d<f32>;
@group(1) @binding(6) var map_sampler: sampler;

override TEXTURED: bool = true;
override MASKED: bool = false;

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
    @location(5) in_sun: vec3<f32>,
}

struct Ray {
    @builtin(position) position: vec4<f32>,
    @location(0) way: vec3<f32>,
}

const SUN = vec3<f32>(0.585, 0.420, 0.694);
const SUN_LIGHT = vec3<f32>(3.9, 2.35, 1.35);

// Light from the sky in a direction, linear; rough surfaces see it blurred.
fn sky_light(way: vec3<f32>, rough: f32) -> vec3<f32> {
    let height = way.y;
    let low = mix(vec3<f32>(0.86, 0.40, 0.25), vec3<f32>(0.10, 0.17, 0.42), smoothstep(-0.05 - rough * 0.4, 0.45 + rough * 0.3, height));
    let above = mix(low, vec3<f32>(0.025, 0.050, 0.16), smoothstep(0.25, 1.0, height));
    let below = mix(above, vec3<f32>(0.045, 0.05, 0.075), smoothstep(0.06 + rough * 0.5, -0.12 - rough * 0.5, height));
    let towards = max(dot(way, SUN), 0.0);
    let halo = towards * towards * towards * towards;
    return below + vec3<f32>(0.75, 0.30, 0.10) * halo * (1.0 - rough * 0.7) * 0.6;
}

// ACES-like curve that also encodes for the screen.
fn shown(light: vec3<f32>) -> vec3<f32> {
    return clamp(light / (light + 0.155) * 1.019, vec3<f32>(0.0), vec3<f32>(1.0));
}

@vertex
fn sky_vertex(@builtin(vertex_index) index: u32) -> Ray {
    let clip = vec2<f32>(f32(index & 1u) * 4.0 - 1.0, f32(index >> 1u) * 4.0 - 1.0);
    let way = frame.forward.xyz + frame.right.xyz * clip.x + frame.up.xyz * clip.y;
    return Ray(vec4<f32>(clip, 1.0, 1.0), way);
}

@fragment
fn sky_fragment(ray: Ray) -> @location(0) vec4<f32> {
    let way = normalize(ray.way);
    let disc = smoothstep(0.9993, 0.9997, dot(way, SUN)) * 6.0;
    return vec4<f32>(shown(sky_light(way, 0.0) * 0.55 + vec3<f32>(1.0, 0.7, 0.4) * disc), 1.0);
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
        vec3<f32>(in_sun.x * 0.5 + 0.5, 0.5 - in_sun.y * 0.5, in_sun.z),
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
    let to_eye = normalize(frame.eye.xyz - surface.world);
    let metal = metal_rough.x;
    let rough = clamp(metal_rough.y, 0.06, 1.0);
    let facing = max(dot(normal, to_eye), 0.001);
    let to_sun = max(dot(normal, SUN), 0.0);
    let lit = textureSampleCompareLevel(shadow, shadow_sampler, surface.in_sun.xy, surface.in_sun.z);

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
    let sun = (diffuse * 0.31831 * (1.0 - fresnel) + fresnel * specular) * SUN_LIGHT * to_sun * lit;

    // Image-based part after Karis 2014: mobile approximation of the preintegrated BRDF.
    let r = rough * vec4<f32>(-1.0, -0.0275, -0.572, 0.022) + vec4<f32>(1.0, 0.0425, 1.04, -0.04);
    let a004 = min(r.x * r.x, exp2(-9.28 * facing)) * r.x + r.y;
    let ab = vec2<f32>(-1.04, 1.04) * a004 + r.zw;
    let mirrored = sky_light(reflect(-to_eye, normal), rough) * (at_rest * ab.x + ab.y);
    let around = diffuse * sky_light(normal, 1.0);
    return vec4<f32>(shown(sun + (around + mirrored) * open + glow), base.a);
}

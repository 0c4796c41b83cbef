// Sky, sun, mountains and the ground with its lines into the distance: the background, painted once.
// Bindings: title_meteor_frame.wgsl. Draw 3 vertices. Colours are sRGB-encoded.

struct Ray {
    @builtin(position) position: vec4<f32>,
    @location(0) way: vec3<f32>,
}

const HORIZON = vec3<f32>(0.62, 0.15, 0.38);

@vertex
fn sky_vertex(@builtin(vertex_index) index: u32) -> Ray {
    let clip = vec2<f32>(f32(index & 1u) * 4.0 - 1.0, f32(index >> 1u) * 4.0 - 1.0);
    let way = frame.forward.xyz + frame.right.xyz * clip.x + frame.up.xyz * clip.y;
    return Ray(vec4<f32>(clip, 1.0, 1.0), way);
}

fn saw(x: f32) -> f32 {
    return abs(fract(x) - 0.5);
}

fn random(cell: vec2<f32>) -> vec2<f32> {
    let p = vec2<f32>(dot(cell, vec2<f32>(127.1, 311.7)), dot(cell, vec2<f32>(269.5, 183.3)));
    return fract(sin(p) * 43758.547);
}

fn cloud(p: vec2<f32>) -> f32 {
    let cell = floor(p);
    let f = smoothstep(vec2<f32>(0.0), vec2<f32>(1.0), fract(p));
    let upper = mix(random(cell).x, random(cell + vec2<f32>(1.0, 0.0)).x, f.x);
    let lower = mix(random(cell + vec2<f32>(0.0, 1.0)).x, random(cell + vec2<f32>(1.0, 1.0)).x, f.x);
    return mix(upper, lower, f.y);
}

fn ground(way: vec3<f32>) -> vec3<f32> {
    let fall = -way.y / way.z;
    let reach = (FLOOR_Y - frame.eye.y) / way.y;
    let x = way.x * reach;
    // Width of a px on the ground in cells of 4 units.
    let px = 0.00042 * reach;
    let off = 0.5 - abs(fract(x * 0.25) - 0.5);
    let line = clamp((0.012 + px - off) / px, 0.0, 1.0) * (0.026 / (0.026 + px));
    let far = clamp(1.0 - fall * 3.2, 0.0, 1.0);
    let base = mix(vec3<f32>(0.030, 0.018, 0.085), vec3<f32>(0.15, 0.04, 0.20), far * far);
    let lit = mix(vec3<f32>(0.15, 0.32, 0.75), vec3<f32>(0.75, 0.20, 0.62), far);
    // The sun's way over the ground.
    let wide = abs(way.x / way.z) / (0.10 + fall * 0.35);
    let glint = exp(-wide * wide) * (0.10 + 0.5 * far * far * far);
    let sharp = pow(far, 14.0);
    let colour = base + lit * line * 0.85 * (1.0 - sharp) + vec3<f32>(1.0, 0.42, 0.30) * glint * 0.55;
    return mix(colour, HORIZON, sharp * 0.85);
}

fn stars(side: f32, rise: f32) -> vec3<f32> {
    let place = vec2<f32>(side, rise) * 26.0;
    let cell = floor(place);
    let chance = random(cell);
    let at = fract(place) - 0.2 - 0.6 * random(cell + 7.0);
    let size = 0.02 + 0.035 * chance.y * chance.y;
    let bright = max(1.0 - length(at) / size, 0.0) * step(0.45, chance.x);
    let warmth = mix(vec3<f32>(0.75, 0.85, 1.0), vec3<f32>(1.0, 0.8, 0.65), chance.y);
    return warmth * bright * (0.5 + chance.y);
}

fn sky(way: vec3<f32>) -> vec3<f32> {
    let rise = way.y / way.z;
    let side = way.x / way.z;
    var colour = mix(HORIZON, vec3<f32>(0.19, 0.06, 0.32), clamp(rise * 5.0, 0.0, 1.0));
    colour = mix(colour, vec3<f32>(0.030, 0.022, 0.10), clamp(rise * 3.0 - 0.25, 0.0, 1.0));
    let drift = vec2<f32>(side * 3.0 + rise * 2.0, rise * 9.0);
    let veil = cloud(drift) * 0.6 + cloud(drift * 2.3) * 0.3 + cloud(drift * 5.1) * 0.15;
    colour += vec3<f32>(0.20, 0.08, 0.34) * max(veil - 0.45, 0.0) * clamp(rise * 6.0, 0.0, 1.0);
    let from_sun = vec2<f32>(side, rise - 0.085);
    let distance = length(from_sun);
    let glow = max(0.0, 1.0 - distance * 2.1);
    colour += vec3<f32>(0.95, 0.35, 0.22) * glow * glow * 0.55;
    let height = from_sun.y / 0.135;
    let stripe = step(0.16 - height * 0.13, fract(height * 5.0)) + step(0.25, height);
    let inside = clamp((0.135 - distance) * 420.0, 0.0, 1.0);
    let fire = mix(vec3<f32>(1.0, 0.27, 0.45), vec3<f32>(1.0, 0.86, 0.42), clamp(height * 0.55 + 0.5, 0.0, 1.0));
    colour += stars(side, rise) * clamp(rise * 8.0, 0.0, 1.0) * (1.0 - inside);
    colour = mix(colour, fire, inside * min(stripe, 1.0));
    let away = smoothstep(0.10, 0.45, abs(side));
    let ridge = (saw(side * 1.9 + 0.2) * 0.12 + saw(side * 4.7) * 0.05 + saw(side * 11.0) * 0.018) * away;
    let above = (rise - ridge) * 300.0;
    let rim = clamp(1.0 - abs(above) * 0.6, 0.0, 1.0) * 0.55;
    let rock = mix(vec3<f32>(0.14, 0.045, 0.22), HORIZON, clamp(1.0 - rise * 11.0, 0.0, 1.0) * 0.7);
    return mix(rock, colour, clamp(above, 0.0, 1.0)) + vec3<f32>(0.75, 0.30, 0.55) * rim * away;
}

@fragment
fn sky_fragment(ray: Ray) -> @location(0) vec4<f32> {
    // Half a step of noise hides the steps of slow gradients.
    let noise = (random(ray.position.xy).x - 0.5) / 255.0;
    if ray.way.y < 0.0 {
        return vec4<f32>(ground(ray.way) + noise, 1.0);
    }
    return vec4<f32>(sky(ray.way) + noise, 1.0);
}

// HDR10 (BT.2020, SMPTE ST 2084) into standard range (BT.709, sRGB-encoded), as `server/gpu/src/hdr/curve.rs` does on the
// CPU: ITU-R BT.2390-11, 5.4.1 on a pixel's brightest channel, white at 203 cd/m² (ITU-R BT.2408). No bindings; it stands
// before the shader that uses it.

const M1: f32 = 0.1593017578125;
const M2: f32 = 78.84375;
const C1: f32 = 0.8359375;
const C2: f32 = 18.8515625;
const C3: f32 = 18.6875;
// Of the highest code, white being 1: 10 000 ÷ 203.
const MOST: f32 = 49.261083743842365;
// The code of white.
const WHITE: f32 = 0.5806888810416109;

// Linear light of codes, white being 1.
fn light_of(codes: vec3<f32>) -> vec3<f32> {
    let root = pow(max(codes, vec3<f32>(0.0)), vec3<f32>(1.0 / M2));
    let share = max(root - vec3<f32>(C1), vec3<f32>(0.0)) / (vec3<f32>(C2) - C3 * root);
    return MOST * pow(share, vec3<f32>(1.0 / M1));
}

// The code that a code becomes, where the source's peak has the code `peak`.
fn bent(code: f32, peak: f32) -> f32 {
    let highest = WHITE / peak;
    let knee = 1.5 * highest - 0.5;
    let share = min(code / peak, 1.0);
    if (share <= knee) {
        return share * peak;
    }
    let t = (share - knee) / (1.0 - knee);
    let t2 = t * t;
    let t3 = t2 * t;
    let curve = (2.0 * t3 - 3.0 * t2 + 1.0) * knee + (t3 - 2.0 * t2 + t) * (1.0 - knee)
        + (3.0 * t2 - 2.0 * t3) * highest;
    return curve * peak;
}

fn encoded(light: vec3<f32>) -> vec3<f32> {
    let low = 12.92 * light;
    let high = 1.055 * pow(light, vec3<f32>(1.0 / 2.4)) - vec3<f32>(0.055);
    return select(high, low, light <= vec3<f32>(0.0031308));
}

fn tone_mapped(codes: vec3<f32>, peak: f32) -> vec3<f32> {
    let brightest = max(codes.r, max(codes.g, codes.b));
    if (brightest <= 0.0) {
        return vec3<f32>(0.0);
    }
    let light = light_of(codes);
    let most = max(light.r, max(light.g, light.b));
    let wanted = light_of(vec3<f32>(bent(brightest, peak))).r;
    let dimmed = light * (wanted / max(most, 1e-9));
    // Columns of the matrix from BT.2020 to BT.709.
    let narrow = mat3x3<f32>(
        vec3<f32>(1.660491, -0.124550, -0.018151),
        vec3<f32>(-0.587641, 1.132900, -0.100579),
        vec3<f32>(-0.072850, -0.008349, 1.118730),
    ) * dimmed;
    return encoded(clamp(narrow, vec3<f32>(0.0), vec3<f32>(1.0)));
}


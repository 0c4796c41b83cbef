//! Matrices of round trips: from files laid out as described in docs/placement.md, or generated.

use super::dice::Dice;
use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use nearframe_placement::geo::Place;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Round trips in ms, row by row; NaN where nothing was measured.
#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    size: usize,
    rtt_ms: Vec<f64>,
}

/// Cities and the round trips between them.
#[derive(Clone, Debug)]
pub(crate) struct Cities {
    pub(crate) places: Vec<Place>,
    /// ISO 3166 codes where the file has country names: the name stands for itself.
    pub(crate) countries: Vec<String>,
    pub(crate) population: Vec<f64>,
    pub(crate) rtt: Matrix,
}

/// Slices of one matrix over time.
#[derive(Clone, Debug)]
pub(crate) struct Slices {
    pub(crate) history: Vec<Matrix>,
    pub(crate) now: Matrix,
}

impl Matrix {
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// `None` on the diagonal and where nothing was measured.
    pub(crate) fn rtt_ms(&self, from: usize, to: usize) -> Option<f64> {
        let rtt_ms = self.rtt_ms[from * self.size + to];
        (from != to && rtt_ms.is_finite()).then_some(rtt_ms)
    }

    fn from_rows(rows: &[Vec<f64>]) -> Result<Self> {
        let size = rows.len();
        if size < 3 || rows.iter().any(|row| row.len() != size) {
            bail!("the matrix is not square, or has fewer than 3 rows");
        }
        let rtt_ms = rows.iter().flatten().map(|&ms| if ms > 0.0 { ms } else { f64::NAN });
        Ok(Self { size, rtt_ms: rtt_ms.collect() })
    }

    /// Rows of numbers, separated by white space; 0 and less off the diagonal mean: not measured.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let number = |word: &str| word.parse::<f64>().with_context(|| format!("{word:?} is no number"));
        let text = read(path)?;
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let rows: Result<Vec<Vec<f64>>> =
            lines.map(|line| line.split_whitespace().map(number).collect()).collect();
        Self::from_rows(&rows?).with_context(|| format!("reading {}", path.display()))
    }
}

impl Cities {
    /// `cities.csv` and `rtt_ms.csv`, plain or `.gz`, of a folder.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let table = read(&either(folder, "cities.csv"))?;
        let mut cities = Self {
            places: Vec::new(),
            countries: Vec::new(),
            population: Vec::new(),
            rtt: Matrix { size: 0, rtt_ms: Vec::new() },
        };
        for line in table.lines().skip(1).filter(|line| !line.trim().is_empty()) {
            // From the right: a city's name may hold a comma.
            let cells: Vec<&str> = line.rsplitn(6, ',').collect();
            let [population, longitude, latitude, _continent, country, ..] = cells[..] else {
                bail!("cities.csv: {line:?} is not city,country,continent,latitude,longitude,population");
            };
            let place = Place::new(latitude.trim().parse()?, longitude.trim().parse()?);
            cities.places.push(place.with_context(|| format!("cities.csv: {line:?} is no place on Earth"))?);
            cities.countries.push(country.to_owned());
            cities.population.push(population.trim().parse().unwrap_or(0.0));
        }
        let count = cities.places.len();
        let rows: Vec<Vec<f64>> = read(&either(folder, "rtt_ms.csv"))?
            .lines()
            .skip(1)
            .filter(|line| !line.trim().is_empty())
            .map(|line| {
                let mut cells: Vec<f64> = line
                    .rsplit(',')
                    .take(count)
                    .map(|cell| cell.trim().parse().unwrap_or(f64::NAN))
                    .collect();
                cells.reverse();
                cells
            })
            .collect();
        cities.rtt = Matrix::from_rows(&rows).context("reading rtt_ms.csv")?;
        if cities.rtt.size() != count {
            bail!("cities.csv has {count} cities and rtt_ms.csv {} rows", cities.rtt.size());
        }
        Ok(cities)
    }

    /// Cities on the inhabited part of a sphere, with detours and access of their own.
    pub(crate) fn generate(count: usize, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        // Centre, extent in degrees and share of the world's cities.
        const CONTINENTS: [([f64; 2], [f64; 2], f64); 6] = [
            ([49.0, 12.0], [9.0, 18.0], 0.28),
            ([39.0, -95.0], [9.0, 24.0], 0.28),
            ([30.0, 105.0], [14.0, 30.0], 0.24),
            ([-20.0, -58.0], [14.0, 12.0], 0.08),
            ([2.0, 20.0], [24.0, 20.0], 0.07),
            ([-33.0, 148.0], [5.0, 20.0], 0.05),
        ];
        let shares = super::dice::sums(CONTINENTS.map(|(.., share)| share));
        let mut access = Vec::new();
        let mut cities = Self {
            places: Vec::new(),
            countries: Vec::new(),
            population: Vec::new(),
            rtt: Matrix { size: count, rtt_ms: vec![f64::NAN; count * count] },
        };
        for _ in 0..count {
            let continent = dice.weighted(&shares);
            let ([latitude, longitude], [height, width], _) = CONTINENTS[continent];
            let mut around = |centre: f64, extent: f64| centre + (dice.share() * 2.0 - 1.0) * extent;
            let place = Place::new(around(latitude, height), around(longitude, width));
            cities.places.push(place.expect("inside the continents"));
            cities.countries.push(format!("{continent}-{}", dice.below(8)));
            cities.population.push(dice.exponential(1.0).powi(2) * 1e6 + 5e4);
            access.push(dice.exponential(2.0));
        }
        for one in 0..count {
            for other in 0..one {
                let km = cities.places[one].km_to(cities.places[other]);
                let detour = 1.25 + dice.exponential(0.25);
                let rtt_ms = access[one] + access[other] + 1.0 + km * 0.01 * detour;
                cities.rtt.rtt_ms[one * count + other] = rtt_ms;
                cities.rtt.rtt_ms[other * count + one] = rtt_ms * (1.0 + dice.exponential(0.01));
            }
        }
        cities
    }
}

impl Slices {
    /// The same paths over time: each slice differs a little, and some pairs much.
    pub(crate) fn generate(count: usize, slices: usize, seed: u64) -> Self {
        let base = Cities::generate(count, seed).rtt;
        let mut dice = Dice::new(seed ^ 0x51);
        let mut made: Vec<Matrix> = (0..slices)
            .map(|_| {
                let mut slice = base.clone();
                for rtt_ms in &mut slice.rtt_ms {
                    let odd = if dice.chance(0.08) { 1.0 + dice.exponential(0.5) } else { 1.0 };
                    *rtt_ms *= odd * (1.0 + dice.exponential(0.002));
                }
                slice
            })
            .collect();
        let now = made.pop().expect("at least one slice");
        Self { history: made, now }
    }

    /// `slice_N.txt`, plain or `.gz`: the highest N is now, the others are its past.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let mut files: Vec<(u32, PathBuf)> = fs::read_dir(folder)
            .with_context(|| format!("reading the folder {}", folder.display()))?
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let name = path.file_name()?.to_str()?.strip_prefix("slice_")?.to_owned();
                Some((name.split('.').next()?.parse().ok()?, path))
            })
            .collect();
        files.sort();
        let Some((_, now)) = files.pop() else { bail!("{} holds no slice_N.txt", folder.display()) };
        Self::of(&now, &files.into_iter().map(|(_, path)| path).collect::<Vec<_>>())
    }

    /// A matrix and its past, oldest first.
    pub(crate) fn of(now: &Path, history: &[PathBuf]) -> Result<Self> {
        let now = Matrix::read(now)?;
        let history: Vec<Matrix> = history.iter().map(|path| Matrix::read(path)).collect::<Result<_>>()?;
        if history.is_empty() || history.iter().any(|slice| slice.size() != now.size()) {
            bail!(
                "a matrix needs at least one earlier slice of the same size: name them with --history FILE"
            );
        }
        Ok(Self { history, now })
    }
}

fn either(folder: &Path, name: &str) -> PathBuf {
    let plain = folder.join(name);
    if plain.exists() { plain } else { folder.join(format!("{name}.gz")) }
}

fn read(path: &Path) -> Result<String> {
    let mut text = String::new();
    let mut file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let read = if path.extension().is_some_and(|extension| extension == "gz") {
        GzDecoder::new(file).read_to_string(&mut text)
    } else {
        file.read_to_string(&mut text)
    };
    read.with_context(|| format!("reading {}", path.display()))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_cities_is_read_with_what_was_not_measured() {
        let folder = tempfile::tempdir().unwrap();
        let table = "city,country,continent,latitude_deg,longitude_deg,population\n\
                     A,X,E,1,2,100\n\"B, the second\",Y,E,3,4,200\nC,Y,E,5,6,300\n";
        fs::write(folder.path().join("cities.csv"), table).unwrap();
        let rows = "city,A,B,C\nA,0,10,\n\"B, the second\",11,0,20\nC,30,21,0\n";
        fs::write(folder.path().join("rtt_ms.csv"), rows).unwrap();
        let cities = Cities::read(folder.path()).unwrap();
        assert_eq!(cities.population, [100.0, 200.0, 300.0]);
        assert_eq!((cities.rtt.rtt_ms(0, 1), cities.rtt.rtt_ms(0, 2)), (Some(10.0), None));
        assert_eq!(cities.rtt.rtt_ms(2, 1), Some(21.0));
    }
}

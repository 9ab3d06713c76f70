from .data_parallel import DataParallel as DataParallel, rank as rank, size as size
from .simulation import Simulation as Simulation, simulate as simulate

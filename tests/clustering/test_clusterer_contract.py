from clustering_contract import ClustererContract, Thirds
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans, MiniBatchKMeans

from dtopics.clustering import HDBSCAN


class TestDefault(ClustererContract):
    def make(self):
        return HDBSCAN()


class TestLeaf(ClustererContract):
    def make(self):
        return HDBSCAN(8, min_samples=3, cluster_selection_method="leaf")


class TestMergedByDistance(ClustererContract):
    def make(self):
        return HDBSCAN(5, cluster_selection_epsilon=0.8, max_cluster_size=0.5)


class TestKMeans(ClustererContract):
    def make(self):
        return KMeans(4)


class TestMiniBatchKMeans(ClustererContract):
    def make(self):
        return MiniBatchKMeans(4, batch_size=128)


class TestDBSCAN(ClustererContract):
    def make(self):
        return DBSCAN(eps=1.5)


class TestAgglomerative(ClustererContract):
    def make(self):
        return AgglomerativeClustering(4)


class TestForeign(ClustererContract):
    trust = True

    def make(self):
        return Thirds()
